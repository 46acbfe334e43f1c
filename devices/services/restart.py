"""A factory return begins a new life: PENDING, counter 0 (A6). Told beforehand, then done.

Nothing else touches the counter: renaming, another SIM, unbinding and a reset by the device are no restart.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.services.refusals import Refused
from devices.lifecycle import Facts, Lock, State, Terms, due_at
from devices.models import DeviceService, Presence
from devices.online_time import total_of
from devices.periods import RestartRefusal, restart_refusal
from devices.services.ledger import READ, Changes, ServiceRow, facts_of, store
from devices.services.lifecycle import advance, load_facts
from devices.services.presence_rows import locked_states
from devices.services.stuck import release
from devices.services.terms import terms_for

MAX_REASON = 200
SENTENCES = {
    RestartRefusal.TERMINATED: gettext_lazy("This device is terminated. Register its key anew instead."),
    RestartRefusal.PAID_MODE_OFF: gettext_lazy(
        "Paid service is off for this product, so nothing changes its state. Switch it on first."
    ),
    RestartRefusal.TIME_REMAINS: gettext_lazy(
        "Time remains on this device. Transfer the remaining service first, or wait for its end."
    ),
    RestartRefusal.NOTHING_TO_RESTART: gettext_lazy(
        "This life has not begun: the device is pending and has counted nothing. There is nothing to restart."
    ),
}


class RestartRefused(Refused):
    """The device can't begin a new life; nothing was changed. `code` is stable (API), None where the form is wrong."""

    code: RestartRefusal | None = None

    @classmethod
    def for_reason(cls, reason: RestartRefusal) -> RestartRefused:
        """A refusal by the rules, with what to do about it."""
        refused = cls.because(str(SENTENCES[reason]))
        refused.code = reason
        return refused


class RestartPreview(NamedTuple):
    """What a restart would do now, or why it is refused. `online_time` is what this life has counted, microseconds."""

    device_id: int
    state: State
    life: int
    online_time: int
    ends_at: datetime | None
    refusal: RestartRefusal | None
    unlocks: bool


def restart_preview(*, device_id: int, now: datetime) -> RestartPreview:
    """What `restart_service` would do now; changes nothing."""
    service = DeviceService.objects.filter(pk=device_id)
    return _looked_at(service, now).preview


@transaction.atomic
def restart_service(*, device_id: int, reason: str, actor: str, now: datetime) -> RestartPreview:
    """Begin a new life: PENDING, counter 0, its trial and its included period ahead again; a locked device is unlocked.

    Returns what was previewed and done. Raises RestartRefused, also while paid time remains.
    """
    reason = " ".join(reason.split())
    if not reason.isprintable() or not 1 <= len(reason) <= MAX_REASON:
        raise RestartRefused.because(_("Say why in 1 to 200 characters; the record keeps it."), "reason")
    locked_states(Presence.objects.filter(pk=device_id))  # a device that comes online now waits: presence first (F23)
    looked = _looked_at(DeviceService.objects.filter(pk=device_id).select_for_update(of=("self",)), now)
    if looked.preview.refusal:
        raise RestartRefused.for_reason(looked.preview.refusal)
    _begin(looked, reason, actor, now)
    return looked.preview


class _Looked(NamedTuple):
    row: ServiceRow
    terms: Terms
    changes: Changes
    counted: int
    open_since: datetime | None
    total: int
    preview: RestartPreview


def _looked_at(services: object, now: datetime) -> _Looked:
    [(*values, reported)] = services.values_list(*READ, "reported_lock")  # type: ignore[attr-defined]
    row, changes = ServiceRow(*values), Changes()
    terms = terms_for([row.place], now=now)[row.place]
    facts = load_facts([row], {row.place: terms})[row.device_id]
    row, facts = advance(row, facts, terms, changes, until=now, now=now)
    counted, open_since = Presence.objects.values_list("counted", "open_since").get(device_id=row.device_id)
    total = total_of(counted, open_since, now)
    return _Looked(row, terms, changes, counted, open_since, total, _preview(row, facts, terms, total, reported))


def _preview(row: ServiceRow, facts: Facts, terms: Terms, total: int, reported: str) -> RestartPreview:
    used = 0 if row.counts_from is None else max(total - row.counts_from, 0)
    return RestartPreview(
        device_id=row.device_id,
        state=State(row.state),
        life=row.life,
        online_time=used,
        ends_at=row.ends_at,
        refusal=restart_refusal(facts, paid_mode=terms.paid_mode, online_time=used),
        unlocks=Lock.LOCKED.value in {row.desired_lock, reported},
    )


def _begin(looked: _Looked, reason: str, actor: str, now: datetime) -> None:
    before, changes = looked.row, looked.changes
    at = max(now, before.last_event_at)
    row = before._replace(
        state=State.PENDING.value,
        state_since=at,
        level_id=None,
        life=before.life + 1,
        counts_from=looked.total,
        trial_started_at=None,
        trial_ended_at=None,
        trial_end_seconds=None,
        auto_spent=False,
        auto_failed_at=None,
        anchor=None,
        anchor_months=0,
        ends_at=None,
        last_event_at=at,
    )
    facts = facts_of(row, looked.counted, looked.open_since)
    row = row._replace(due_at=due_at(facts, looked.terms, now))
    if looked.preview.unlocks:
        row = changes.tell(row, Lock.UNLOCKED)
    changes.note(before, changes.move(row), "device_service.restarted", at=at, why=reason, actor=actor)
    changes.events[-1] = changes.events[-1]._replace(after={**(changes.events[-1].after or {}), "life": row.life})
    store(changes, now=now)
    release([row.device_id])
    DeviceService.objects.filter(pk=row.device_id).update(
        life=row.life, life_began_at=at, counts_from=row.counts_from, counted_at_pause=None
    )
