"""Renewing devices: what it would do, and doing it once for each paid line (A12–A18, Q4, R2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from amp.foundation.bulk import among, read_rows
from devices.lifecycle import (
    Facts,
    Lock,
    Renewal,
    RenewalNotAllowed,
    RenewalRefusal,
    State,
    Terms,
    after,
    due_transition,
    renewal,
    renewal_refusal,
)
from devices.models import DeviceService, Period, PeriodKind
from devices.services.ledger import READ, Changes, PeriodDraft, ServiceRow, store
from devices.services.lifecycle import advance, catch_up, load_facts
from devices.services.stuck import release
from devices.services.terms import terms_for


class Quote(NamedTuple):
    """What a renewal would do to one device: `refusal` or `renewal`, and what stands now."""

    device_id: int
    state: State
    ends_at: datetime | None
    refusal: RenewalRefusal | None
    renewal: Renewal | None
    # A13: months of an included period that an early renewal gives up.
    gives_up_months: int = 0
    level_id: int | None = None


class RenewalRequest(NamedTuple):
    """One paid period of one device. `source` ("line:7") makes it happen once, whatever is repeated."""

    device_id: int
    months: int
    level_id: int
    plan_name: str
    source: str
    paid_at: datetime
    # Whose device was paid for; one that belongs to another enterprise by now is not renewed (F36). None: whoever's.
    enterprise_id: int | None = None


class RenewalOutcome(NamedTuple):
    """What became of a request: the period's end, or why the money could not be applied (Q4)."""

    device_id: int
    source: str
    ends_at: datetime | None
    refusal: RenewalRefusal | None


def quote_renewals(device_ids: Collection[int], *, months: int, now: datetime) -> list[Quote]:
    """What renewing by `months` at `now` would do to each device, in id order; changes nothing (Q5)."""
    return list(quote_fleet(device_ids, months=[months], now=now)[months].values())


def quote_periods(device_id: int, *, months: Iterable[int], now: datetime) -> dict[int, Quote]:
    """What renewing one device by each of `months` at `now` would do; as many queries as for a single one."""
    return {each: quotes[device_id] for each, quotes in quote_fleet([device_id], months=months, now=now).items()}


def quote_fleet(device_ids: Collection[int], *, months: Iterable[int], now: datetime) -> dict[int, dict[int, Quote]]:
    """By each of `months`: what such a renewal would do, by device in id order; changes nothing (Q5).

    As many queries as for a single device and period.
    """
    services = DeviceService.objects.filter(among("device_id", device_ids)).order_by("device_id")
    rows = [*map(ServiceRow._make, read_rows(services.values_list(*READ)))]
    terms = terms_for({row.place for row in rows}, now=now)
    facts = load_facts(rows, terms)
    due = {row.device_id: _fallen_due(facts[row.device_id], terms[row.place], now) for row in rows}
    return {
        each: {row.device_id: _quote(row, due[row.device_id], terms[row.place], each, now) for row in rows}
        for each in sorted(set(months))
    }


@transaction.atomic
def renew_services(requests: Sequence[RenewalRequest], *, actor: str, now: datetime) -> list[RenewalOutcome]:
    """Apply paid periods: one transaction, services locked in id order (F23), set-based writes.

    A request whose source has a period already is answered from it and changes nothing (F02).
    """
    ids = sorted({request.device_id for request in requests})
    locked = DeviceService.objects.filter(among("device_id", ids)).order_by("device_id").select_for_update()
    rows = {values[0]: ServiceRow._make(values) for values in read_rows(locked.values_list(*READ))}
    done = _renewed_before([request.source for request in requests])
    terms = terms_for({row.place for row in rows.values()}, now=now)
    facts = load_facts(list(rows.values()), terms)
    changes, outcomes = Changes(dict(rows)), []
    for request in sorted(requests, key=lambda each: (each.device_id, each.paid_at)):
        if request.source in done:
            outcomes.append(RenewalOutcome(request.device_id, request.source, done[request.source], None))
            continue
        row = rows[request.device_id]
        outcome, rows[row.device_id], facts[row.device_id] = _renew(
            row, facts[row.device_id], terms[row.place], request, changes, actor=actor, now=now
        )
        outcomes.append(outcome)
    store(changes, now=now)
    release(ids)
    return outcomes


def _renewed_before(sources: Sequence[str]) -> dict[str, datetime]:
    """Ends of the periods that these sources have made already."""
    return dict(Period.objects.filter(among("source", sources)).values_list("source", "ends_at"))


def _renew(
    row: ServiceRow, facts: Facts, terms: Terms, request: RenewalRequest, changes: Changes, *, actor: str, now: datetime
) -> tuple[RenewalOutcome, ServiceRow, Facts]:
    """First what was due before the payment, then the payment, then what is due since (A16, A18)."""
    if request.enterprise_id not in {None, row.enterprise_id}:
        return RenewalOutcome(row.device_id, request.source, None, RenewalRefusal.OTHER_ENTERPRISE), row, facts
    paid_at = min(request.paid_at, now)
    row, facts = catch_up(row, facts, terms, changes, until=paid_at, now=now)
    try:
        renewed = renewal(facts, terms, paid_at=paid_at, months=request.months, now=now)
    except RenewalNotAllowed as refused:
        row, facts = advance(row, facts, terms, changes, until=paid_at, now=now)
        return RenewalOutcome(row.device_id, request.source, None, refused.reason), row, facts
    before, row = row, _extended(row, renewed, request, changes, now)
    fresh = before.state in {State.PENDING.value, State.TRIAL.value}
    changes.note(
        before,
        row,
        "device_service.activated" if fresh else "device_service.renewed",
        at=row.last_event_at,
        why=f"paid {request.source}",
        actor=actor,
    )
    facts = facts._replace(
        state=State.ACTIVE,
        auto_spent=row.auto_spent,
        auto_failed_at=row.auto_failed_at,
        anchor=row.anchor,
        anchor_months=row.anchor_months,
        ends_at=row.ends_at,
        last_event_at=row.last_event_at,
    )
    row, facts = advance(row, facts, terms, changes, until=now, now=now)
    return RenewalOutcome(row.device_id, request.source, renewed.ends_at, None), row, facts


def _extended(
    row: ServiceRow, renewed: Renewal, request: RenewalRequest, changes: Changes, now: datetime
) -> ServiceRow:
    at = max(min(request.paid_at, now), row.last_event_at)
    since = row.state_since if row.state == State.ACTIVE.value else at
    draft = PeriodDraft(
        kind=PeriodKind.PAID.value,
        level_id=request.level_id,
        plan_name=request.plan_name,
        months=request.months,
        anchor=renewed.anchor,
        anchor_months=renewed.anchor_months,
        starts_at=renewed.starts_at,
        ends_at=renewed.ends_at,
        source=request.source,
    )
    row = changes.add_period(row, draft, now=now, state_since=since, last_event_at=at)
    if renewed.ends_trial:  # A13: paying ends the trial and gives up the included period of this life
        row = row._replace(trial_ended_at=at, auto_spent=True, auto_failed_at=None)
    return changes.tell(row, Lock.UNLOCKED) if renewed.unlocks else row


def _fallen_due(facts: Facts, terms: Terms, now: datetime) -> Facts:
    while transition := due_transition(facts, terms, now):
        facts = after(facts, transition, terms)
    return facts


def _quote(row: ServiceRow, facts: Facts, terms: Terms, months: int, now: datetime) -> Quote:
    refusal = renewal_refusal(facts, terms, months=months, now=now)
    young = facts.state in {State.PENDING, State.TRIAL}
    return Quote(
        device_id=row.device_id,
        state=facts.state,
        ends_at=facts.ends_at,
        refusal=refusal,
        renewal=None if refusal else renewal(facts, terms, paid_at=now, months=months, now=now),
        gives_up_months=terms.included.months if young and terms.included and not facts.auto_spent else 0,
        level_id=row.level_id,
    )
