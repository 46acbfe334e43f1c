"""What is held leaves: by itself once presence has settled, else because a person decided so (P8).

A decision is one short transaction; a sweep does the work in slices. A slice holds the count of its enterprise first,
then its hold, and takes commands that nobody else holds: it never waits for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.services.events import record_about, record_events
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from devices.brakes import HoldReason
from devices.delivery import CommandStatus, braked, closed, released
from devices.models import Command, HoldStatus, LockCount, LockHold
from devices.services.command_rows import CommandRow, claimed_rows, closing_event, store_released, store_rows
from devices.services.commands import online_devices, wake_if_due
from devices.services.lock_brakes import (
    SWEEP,
    let_through,
    limits_now,
    locked_counts,
    next_look,
    open_hold,
    open_holds,
    settled_after,
)

CHUNK = 2_000
HOLDS = 20
"""Holds of which one call works off a slice each."""
AGAIN = timedelta(seconds=5)
"""Somebody else holds the last commands of a hold; a later slice takes them."""
WORK_OFF = "devices.tasks.work_off_lock_holds"
EVENT_OF = {HoldStatus.RELEASING: "lock_hold.released", HoldStatus.CANCELLING: "lock_hold.cancelled"}


class HoldNotDecided(Refused):
    """This hold can't be released or cancelled any more; nothing was changed."""


def release_held_locks(*, hold: LockHold, actor: str, now: datetime) -> int:
    """A person confirms: what is held goes, and the enterprise's count begins anew (P8). How many LOCKs are held.

    Raises HoldNotDecided where somebody has decided already.
    """
    return _decide(hold, HoldStatus.RELEASING, actor, now)


def cancel_held_locks(*, hold: LockHold, actor: str, now: datetime) -> int:
    """A person takes the held LOCKs back: services stay expired, devices open. Otherwise as `release_held_locks`."""
    return _decide(hold, HoldStatus.CANCELLING, actor, now)


def work_off_holds(*, now: datetime, limit: int = CHUNK) -> int:
    """One slice of each hold that is due; how many commands left. Idle, it is one look at an index."""
    due = LockHold.objects.filter(due_at__lte=now).order_by("due_at").values_list("pk", "enterprise_id")
    return sum(_work_off(pk, enterprise_id, now, limit) for pk, enterprise_id in list(due[:HOLDS]))


@transaction.atomic
def _decide(hold: LockHold, status: HoldStatus, actor: str, now: datetime) -> int:
    locked_counts([hold.enterprise_id])
    locked = LockHold.objects.select_for_update().get(pk=hold.pk)
    if locked.status != HoldStatus.HOLDING.value:
        raise HoldNotDecided.because(_("Somebody has decided this already. Reload the page."))
    LockCount.objects.filter(pk=locked.enterprise_id).update(minutes={})
    _begin(locked, status, actor, now)
    wake(WORK_OFF)
    return locked.number or 0


def _begin(hold: LockHold, status: HoldStatus, actor: str, now: datetime) -> None:
    """From here on it takes nothing in any more; one event says who, and how many."""
    hold.status, hold.due_at, hold.decided_at, hold.decided_by = status.value, now, now, actor[:160]
    hold.number = Command.objects.filter(hold=hold).count()
    hold.save()
    told = {"reason": hold.reason, "locks": hold.number}
    record_about(hold, EVENT_OF[status], actor=actor, now=now, after=told)


@transaction.atomic
def _work_off(pk: int, enterprise_id: int, now: datetime, limit: int) -> int:
    counts = locked_counts([enterprise_id])
    hold = LockHold.objects.select_for_update(skip_locked=True).filter(pk=pk, due_at__lte=now).first()
    if hold is None or (hold.status == HoldStatus.HOLDING.value and not _has_settled(hold, now)):
        return 0
    rows = claimed_rows(Command.objects.filter(hold=hold).order_by("id"), limit)
    if hold.status == HoldStatus.CANCELLING.value:
        _cancel(rows, hold, now)
    else:
        _release(rows, hold, counts, now)
    if len(rows) < limit:
        _end_or_wait(hold, now)
    return len(rows)


def _has_settled(hold: LockHold, now: datetime) -> bool:
    """Whether a hold that settles begins to leave now; else it is looked at again later."""
    until = settled_after(limits_now(), now=now)
    if until is None:
        _begin(hold, HoldStatus.RELEASING, SWEEP, now)
        return True
    LockHold.objects.filter(pk=hold.pk).update(due_at=next_look(until, now))
    return False


def _release(rows: Sequence[CommandRow], hold: LockHold, counts: dict[int, dict[int, int]], now: datetime) -> None:
    """What presence alone let go meets the brake by number now; what a person released doesn't."""
    going: list[CommandRow] = list(rows)
    kept: list[CommandRow] = []
    if hold.decided_by == SWEEP and rows:
        going, kept = _through_second_brake(rows, hold, counts, now)
    online = online_devices([row.device_id for row in going])
    fresh = [row._replace(standing=released(row.standing, is_online=row.device_id in online, now=now)) for row in going]
    store_released([*fresh, *kept])
    wake_if_due((row.standing for row in fresh), now)


def _through_second_brake(
    rows: Sequence[CommandRow], hold: LockHold, counts: dict[int, dict[int, int]], now: datetime
) -> tuple[list[CommandRow], list[CommandRow]]:
    place, reason = hold.enterprise_id, HoldReason.TOO_MANY
    holds = open_holds([place])
    going = let_through({place: len(rows)}, counts, holds, limits_now(), now=now)[place]
    left = rows[going.number :]
    if not left:
        return list(rows), []
    hold_id = holds.get((place, reason)) or open_hold(place, reason, going.allowance, due_at=None, now=now)
    kept = [row._replace(standing=braked(row.standing, hold_id=hold_id)) for row in left]
    return list(rows[: going.number]), kept


def _cancel(rows: Sequence[CommandRow], hold: LockHold, now: datetime) -> None:
    over = [row._replace(standing=closed(row.standing, CommandStatus.CANCELLED, now)) for row in rows]
    store_rows(over)
    events = [closing_event(row, now=now, actor=hold.decided_by, why="hold_cancelled") for row in over]
    record_events(events, now=now)


def _end_or_wait(hold: LockHold, now: datetime) -> None:
    if Command.objects.filter(hold=hold).exists():
        LockHold.objects.filter(pk=hold.pk).update(due_at=now + AGAIN)
    else:
        LockHold.objects.filter(pk=hold.pk).update(status=HoldStatus.OVER.value, due_at=None, ended_at=now)
