"""Moving what is left of a service to a replacement device: told beforehand, then done (A26).

The ledger stays append-only: the source's last period gets an early end, the target a period that runs from then to the
same end. Both carry the same source ("transfer:<uuid>"), so that `audit` finds no time made or lost.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from devices.lifecycle import Facts, Lock, State, Terms
from devices.models import DeviceService, EarlyEnd, Period, PeriodKind, Presence
from devices.periods import Side, TransferRefusal, moved, transfer_refusal
from devices.services.ledger import READ, Changes, PeriodDraft, ServiceRow, store
from devices.services.lifecycle import advance, load_facts
from devices.services.presence_rows import locked_states
from devices.services.replacements import TransferRefused
from devices.services.stuck import release
from devices.services.terms import terms_for

MAX_REASON = 200


class Standing(NamedTuple):
    """One device at one side of the arrow."""

    state: State
    ends_at: datetime | None


class SideChange(NamedTuple):
    """What happens to one device. `told` is the command that it gets, None where it needs none."""

    device_id: int
    before: Standing
    after: Standing
    told: Lock | None
    ends_trial: bool = False
    # The plan that its product includes after the trial, and that this device won't get any more.
    gives_up_included: bool = False


class TransferPreview(NamedTuple):
    """What a transfer at `at` would do to both devices, or why it is refused; `ends_at` is the end that moves."""

    at: datetime
    refusal: TransferRefusal | None
    ends_at: datetime | None = None
    plan_name: str = ""
    source: SideChange | None = None
    target: SideChange | None = None

    @property
    def seen(self) -> str:
        """Names what somebody was shown: a transfer of anything else is refused (F99)."""
        if not (self.source and self.target):
            return ""
        shown = (*self.source.before, *self.target.before, self.target.after.ends_at)
        return "|".join(str(part) for part in shown)


class Transferred(NamedTuple):
    """What was done; `ticket` names it in the ledger and in both devices' records."""

    ticket: uuid.UUID
    done: TransferPreview


@dataclass(slots=True)
class _Case:
    rows: dict[int, ServiceRow]
    facts: dict[int, Facts]
    terms: dict[tuple[int, int], Terms]
    changes: Changes
    has_paid: set[int]

    def side(self, device_id: int) -> Side:
        row = self.rows[device_id]
        return Side(device_id, row.product_id, self.facts[device_id], device_id in self.has_paid)


def transfer_preview(*, source_id: int, target_id: int, now: datetime) -> TransferPreview:
    """What `transfer_service` would do now; changes nothing. Six to nine queries.

    Both devices have to be visible to the caller: within the authorised enterprises. Raises TransferRefused else.
    """
    case = _case(source_id, target_id, now, lock=False)
    return _apply(case, source_id, target_id, ticket=uuid.uuid4(), reason="", actor="", now=now)


@transaction.atomic
def transfer_service(
    *,
    source_id: int,
    target_id: int,
    reason: str,
    actor: str,
    now: datetime,
    seen: str | None = None,
    ticket: uuid.UUID | None = None,
) -> Transferred:
    """Move what is left: the source becomes EXPIRED and locked, the target ACTIVE and unlocked, its trial over (A26).

    Presence, then both services are locked in id order (F23), so what a device says of itself, a renewal or a sweep
    comes wholly before or wholly after. `seen` is `TransferPreview.seen`: what changed since is refused. The same
    `ticket` again moves nothing.
    Raises `devices.services.replacements.TransferRefused`.
    """
    reason = _checked(reason)
    ticket = ticket or uuid.uuid4()
    locked_states(Presence.objects.filter(pk__in=[source_id, target_id]))  # a device that comes online waits (F23)
    case = _case(source_id, target_id, now, lock=True)
    if EarlyEnd.objects.filter(source=_source(ticket)).exists():
        raise TransferRefused.because(_("This transfer is done already. Reload the page."))
    done = _apply(case, source_id, target_id, ticket=ticket, reason=reason, actor=actor, now=now)
    if done.refusal:
        raise TransferRefused.for_reason(done.refusal)
    if seen is not None and seen != done.seen:
        raise TransferRefused.because(_("One of the devices changed meanwhile. Look at the new preview and go on."))
    _cut(case, done, ticket, now)
    store(case.changes, now=now)
    release(list(case.rows))
    return Transferred(ticket, done)


def _checked(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason.isprintable() or not 1 <= len(reason) <= MAX_REASON:
        raise TransferRefused.because(_("Say why in 1 to 200 characters; the record keeps it."), "reason")
    return reason


def _case(source_id: int, target_id: int, now: datetime, *, lock: bool) -> _Case:
    """Both devices as they stand once everything that is due has happened."""
    services = DeviceService.objects.filter(device_id__in=[source_id, target_id]).order_by("device_id")
    services = services.select_for_update() if lock else services
    rows = {values[0]: ServiceRow(*values) for values in services.values_list(*READ)}
    if {source_id, target_id} - set(rows):
        raise TransferRefused.because(_("No such device in your enterprises."), "target")
    terms = terms_for({row.place for row in rows.values()}, now=now)
    case = _Case(rows, load_facts(list(rows.values()), terms), terms, Changes(), set())
    for pk, row in rows.items():
        rows[pk], case.facts[pk] = advance(row, case.facts[pk], terms[row.place], case.changes, until=now, now=now)
    paid = Period.objects.filter(device_id=target_id, life=rows[target_id].life, kind=PeriodKind.PAID.value)
    case.has_paid = {target_id} if paid.exists() else set()
    return case


def _apply(
    case: _Case, source_id: int, target_id: int, *, ticket: uuid.UUID, reason: str, actor: str, now: datetime
) -> TransferPreview:
    source, target = case.rows[source_id], case.rows[target_id]
    at = max(now, source.last_event_at, target.last_event_at)
    paid_mode = case.terms[source.place].paid_mode
    if refusal := transfer_refusal(case.side(source_id), case.side(target_id), paid_mode=paid_mode, now=at):
        return TransferPreview(at, refusal)
    last = Period.objects.get(device_id=source_id, number=source.periods_made)
    emptied = _emptied(source, at, case.changes)
    filled = _filled(case, target, last, at=at, ticket=ticket, now=now)
    for before, row, kind, other in (
        (source, emptied, "device_service.transferred_out", target),
        (target, filled, "device_service.transferred_in", source),
    ):
        case.changes.note(before, row, kind, at=at, why=reason, actor=actor)
        _name_other_side(case.changes, ticket, row, other)
    return TransferPreview(
        at=at,
        refusal=None,
        ends_at=source.ends_at,
        plan_name=last.plan_name,
        source=_change(source, emptied),
        target=_change(target, filled)._replace(gives_up_included=_gives_up(case, target)),
    )


def _emptied(row: ServiceRow, at: datetime, changes: Changes) -> ServiceRow:
    """The source: expired at this moment, which is its new anchor too, so that no late payment counts moved time."""
    row = row._replace(
        state=State.EXPIRED.value,
        state_since=at,
        level_id=None,
        anchor=at,
        anchor_months=0,
        ends_at=at,
        due_at=None,
        last_event_at=at,
    )
    return changes.move(changes.tell(row, Lock.LOCKED))


def _filled(
    case: _Case, row: ServiceRow, last: Period, *, at: datetime, ticket: uuid.UUID, now: datetime
) -> ServiceRow:
    """The target: active to the same end, which is its anchor; its trial and its included period are over."""
    stretch = moved(case.facts[last.device_id], case.facts[row.device_id], at=at)
    draft = PeriodDraft(
        kind=last.kind,
        level_id=last.level_id,
        plan_name=last.plan_name,
        months=0,
        anchor=stretch.ends_at,
        anchor_months=0,
        starts_at=stretch.starts_at,
        ends_at=stretch.ends_at,
        source=_source(ticket),
    )
    was_told_to_lock = row.desired_lock == Lock.LOCKED.value
    filled = case.changes.add_period(row, draft, now=now)._replace(
        state_since=at, last_event_at=at, due_at=stretch.ends_at, auto_spent=True, auto_failed_at=None
    )
    if stretch.ends_trial:
        filled = filled._replace(trial_ended_at=at)
    if stretch.unlocks or was_told_to_lock:
        filled = case.changes.tell(filled, Lock.UNLOCKED)
    return case.changes.move(filled)


def _name_other_side(changes: Changes, ticket: uuid.UUID, row: ServiceRow, other: ServiceRow) -> None:
    """The record of each side names the other one by id, but only within an enterprise: others learn nothing (R6)."""
    more = {"transfer": str(ticket)}
    if other.enterprise_id == row.enterprise_id:
        more["other_device"] = str(other.device_id)
    event = changes.events[-1]
    changes.events[-1] = event._replace(after={**(event.after or {}), **more})


def _cut(case: _Case, done: TransferPreview, ticket: uuid.UUID, now: datetime) -> None:
    assert done.source is not None  # noqa: S101 (for the type checker: it was not refused)
    assert done.ends_at is not None  # noqa: S101
    row = case.rows[done.source.device_id]
    EarlyEnd.objects.create(
        enterprise_id=row.enterprise_id,
        device_id=row.device_id,
        number=row.periods_made,
        previous_ends_at=done.ends_at,
        ends_at=done.at,
        source=_source(ticket),
        created_at=now,
    )


def _gives_up(case: _Case, target: ServiceRow) -> bool:
    return case.terms[target.place].included is not None and not target.auto_spent


def _change(before: ServiceRow, after: ServiceRow) -> SideChange:
    is_told = after.generation > before.generation
    return SideChange(
        device_id=after.device_id,
        before=Standing(State(before.state), before.ends_at),
        after=Standing(State(after.state), after.ends_at),
        told=Lock(after.desired_lock) if is_told else None,
        ends_trial=after.trial_ended_at != before.trial_ended_at,
    )


def _source(ticket: uuid.UUID) -> str:
    return f"transfer:{ticket}"
