"""What of the devices' tables doesn't stay for ever (X5): closed sessions and commands, imports, disconnections, holds.

The periods and what cut them short are a ledger: they stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.bulk import among, update_rows
from amp.foundation.services.retention import Kept
from devices.models import (
    Command,
    Disconnect,
    DisconnectStatus,
    HoldStatus,
    Import,
    ImportRow,
    ImportState,
    LockHold,
    Presence,
    PresenceSession,
)
from devices.models.commands import OPEN_STATUSES
from devices.online_time import MAX_LATE, Interval, forgettable

LEAST_OF_SESSIONS = 30
"""More than `MAX_LATE`: no event that is admitted can be about a session that is gone (P5, P6)."""
assert MAX_LATE.days < LEAST_OF_SESSIONS  # noqa: S101 (two constants of ours)


def forget_sessions(kept: Kept, ids: Sequence[int], cutoff: datetime) -> int:
    """Delete the old sessions of these sessions' devices; what they counted stays in `Presence.forgotten` (P1).

    Only whole stretches of online time go, so that the rest still adds up: see `devices.online_time.forgettable`.
    """
    devices = set(PresenceSession.objects.filter(among("id", ids)).values_list("device_id", flat=True))
    presence = (
        Presence.objects.filter(among("device_id", devices)).order_by("device_id").select_for_update(of=("self",))
    )
    standing = {pk: (opened, gone) for pk, opened, gone in presence.values_list("device_id", "open_since", "forgotten")}
    rows, removed = [], []
    for device_id, stored in _stored(standing).items():
        opened, before = standing[device_id]
        going, length = forgettable([interval for _pk, interval in stored], opened, cutoff)
        if going:
            rows.append((device_id, before + length))
            removed += [pk for pk, _interval in stored[:going]]
    update_rows(Presence, ("forgotten",), rows)
    gone = PresenceSession.objects.filter(among("id", removed))
    gone._raw_delete(gone.db)
    return len(removed)


def _stored(devices: Collection[int]) -> dict[int, list[tuple[int, Interval]]]:
    found: dict[int, list[tuple[int, Interval]]] = defaultdict(list)
    rows = PresenceSession.objects.filter(among("device_id", devices)).order_by("started_at", "ended_at", "id")
    for pk, device_id, session, started_at, ended_at in rows.values_list(
        "id", "device_id", "session", "started_at", "ended_at"
    ):
        found[device_id].append((pk, Interval(session or None, started_at, ended_at)))
    return found


def _command_is_over(cutoff: datetime) -> Q:
    """Closed, and not what is still looked up: of each kind in each slot a device keeps the last, and the last sent.

    The last one holds the generation after which the next is counted (A22), and the words that undo a lock (A5).
    """
    newer = Command._base_manager.filter(
        device_id=OuterRef("device_id"),
        slot=OuterRef("slot"),
        kind=OuterRef("kind"),
        generation__gt=OuterRef("generation"),
    )
    sent = newer.filter(sent_at__isnull=False)
    return ~Q(status__in=OPEN_STATUSES) & Q(closed_at__lt=cutoff) & Exists(newer) & (Q(sent_at=None) | Exists(sent))


def _disconnect_is_over(cutoff: datetime) -> Q:
    """Done; or given up, and ordered anew since. A done one stays while one that was given up lies before it."""
    beside = Disconnect._base_manager.filter(device_id=OuterRef("device_id"))
    dead = DisconnectStatus.DEAD.value
    done = Q(status__in=[DisconnectStatus.DONE.value, DisconnectStatus.UNSUPPORTED.value])
    nothing_before = ~Exists(beside.filter(pk__lt=OuterRef("pk"), status=dead))
    ordered_anew = Exists(beside.filter(pk__gt=OuterRef("pk")))
    return Q(created_at__lt=cutoff) & (done & nothing_before | Q(status=dead) & ordered_anew)


def _import_is_over(cutoff: datetime) -> Q:
    """Done, refused or cancelled, and its lines thrown away. One that a fault stopped can still be tried again."""
    ended = (ImportState.DONE.value, ImportState.REFUSED.value, ImportState.CANCELLED.value)
    lines = ImportRow._base_manager.filter(job_id=OuterRef("pk"))
    return Q(state__in=ended, created_at__lt=cutoff, due_at=None, clear_at=None) & Q(~Exists(lines))


SESSIONS = Kept(
    name="sessions",
    title=_("Online sessions of devices"),
    model=PresenceSession,
    born="ended_at",
    least=LEAST_OF_SESSIONS,
    days=400,
    over=lambda cutoff: Q(ended_at__lt=cutoff),
    remove=forget_sessions,
)
COMMANDS = Kept(
    name="commands",
    title=_("Commands that are over"),
    model=Command,
    born="created_at",
    least=30,
    days=365,
    over=_command_is_over,
)
DISCONNECTS = Kept(
    name="disconnects",
    title=_("Disconnections that are over"),
    model=Disconnect,
    born="created_at",
    least=7,
    days=90,
    over=_disconnect_is_over,
)
IMPORTS = Kept(
    name="imports",
    title=_("Imports that are over"),
    model=Import,
    born="created_at",
    least=30,
    days=2 * 365,
    over=_import_is_over,
)
HOLDS = Kept(
    name="lock_holds",
    title=_("Holds on locks that are over"),
    model=LockHold,
    born="began_at",
    least=30,
    days=2 * 365,
    over=lambda cutoff: (
        Q(status=HoldStatus.OVER.value, ended_at__lt=cutoff)
        & Q(~Exists(Command._base_manager.filter(hold_id=OuterRef("pk"))))
    ),
)
