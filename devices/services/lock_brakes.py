"""LOCKs that the platform orders by itself meet the brakes: some go, the others are held (P8).

Locks are taken in one order: services, commands, then the counts of enterprises by id. Whoever holds a count already
never waits for a command.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Sum

from amp.foundation.bulk import update_rows
from amp.foundation.models import Figure
from amp.foundation.services.configuration import lock_limits
from amp.foundation.services.events import record_about
from devices.brakes import (
    OUTAGE,
    HoldReason,
    Limits,
    Listener,
    LockCause,
    brake_of,
    counted,
    let_go,
    passed_lately,
    settles_until,
)
from devices.lifecycle import State
from devices.models import Bridge, HoldStatus, LockCount, LockHold

SWEEP = "sweep"


class Order(NamedTuple):
    """One LOCK that is about to be ordered, and why."""

    device_id: int
    enterprise_id: int
    cause: LockCause


class Held(NamedTuple):
    """What holds it."""

    hold_id: int
    reason: HoldReason


def brake_locks(orders: Sequence[Order], *, now: datetime) -> dict[int, Held]:
    """Which of these LOCKs are held, by device; the others count from now on, first come, first let go.

    Call inside the transaction that orders them, after services and commands are locked. Four statements, two more for
    an enterprise's first LOCK, one for enterprises above the least allowance, two for each brake that comes on.
    """
    limits = limits_now()
    until = settled_after(limits, now=now)
    counts = locked_counts({order.enterprise_id for order in orders})
    parts: dict[tuple[int, HoldReason], list[int]] = defaultdict(list)
    for order in orders:
        parts[order.enterprise_id, brake_of(order.cause, is_settling=until is not None)].append(order.device_id)
    holds = open_holds(counts)
    many = {place: ids for (place, reason), ids in parts.items() if reason is HoldReason.TOO_MANY}
    going = let_through({place: len(ids) for place, ids in many.items()}, counts, holds, limits, now=now)
    held: dict[int, Held] = {}
    for (place, reason), ids in parts.items():
        kept = ids[going[place].number :] if reason is HoldReason.TOO_MANY else ids
        if kept:
            due_at = next_look(until, now) if until and reason is HoldReason.SETTLING else None
            allowance = going[place].allowance if reason is HoldReason.TOO_MANY else None
            hold_id = holds.get((place, reason)) or open_hold(place, reason, allowance, due_at=due_at, now=now)
            held |= dict.fromkeys(kept, Held(hold_id, reason))
    return held


class Going(NamedTuple):
    """How many LOCKs of an enterprise go, and how many could in an hour."""

    number: int
    allowance: int


def let_through(
    wanted: Mapping[int, int],
    counts: Mapping[int, dict[int, int]],
    holds: Mapping[tuple[int, HoldReason], int],
    limits: Limits,
    *,
    now: datetime,
) -> dict[int, Going]:
    """How many of the `wanted` LOCKs of each enterprise go (P8); they are counted. The caller holds the counts."""
    passed = {place: passed_lately(counts[place], now) for place in wanted}
    devices = _devices(place for place, number in wanted.items() if passed[place] + number > limits.least)
    going = {}
    for place, number in wanted.items():
        allowance, is_on = limits.allowance(devices[place]), (place, HoldReason.TOO_MANY) in holds
        going[place] = Going(let_go(number, passed=passed[place], allowance=allowance, is_on=is_on), allowance)
    fresh = {place: counted(counts[place], going[place].number, now) for place in wanted}
    rows = [(place, {str(minute): each for minute, each in minutes.items()}) for place, minutes in fresh.items()]
    update_rows(LockCount, ("minutes",), rows)
    return going


def locked_counts(enterprise_ids: Collection[int]) -> dict[int, dict[int, int]]:
    """LOCKs by minute of each enterprise, locked in one order (F23)."""
    found = _locked(enterprise_ids)
    missing = set(enterprise_ids) - set(found)
    if missing:
        LockCount.objects.bulk_create([LockCount(pk=pk) for pk in sorted(missing)], ignore_conflicts=True)
        found = _locked(enterprise_ids)
    return found


def open_holds(enterprise_ids: Iterable[int]) -> dict[tuple[int, HoldReason], int]:
    """Holds that take LOCKs in, by enterprise and reason. The caller holds the counts."""
    rows = LockHold.objects.filter(enterprise_id__in=list(enterprise_ids), status=HoldStatus.HOLDING.value)
    return {(place, HoldReason(reason)): pk for pk, place, reason in rows.values_list("id", "enterprise_id", "reason")}


def open_hold(
    enterprise_id: int, reason: HoldReason, allowance: int | None, *, due_at: datetime | None, now: datetime
) -> int:
    """The brake comes on, with one event for the enterprise; id of the hold. The caller holds the count."""
    hold = LockHold.objects.create(
        enterprise_id=enterprise_id, reason=reason.value, allowance=allowance, began_at=now, due_at=due_at
    )
    told = {"reason": reason.value} | ({"allowance": allowance} if allowance is not None else {})
    record_about(hold, "lock_hold.began", actor=SWEEP, now=now, after=told)
    return hold.pk


def limits_now() -> Limits:
    """As configured, else as installed."""
    known = lock_limits()
    return Limits(known.allowance, known.percent, timedelta(minutes=known.settle_minutes))


def settled_after(limits: Limits, *, now: datetime) -> datetime | None:
    """Until when presence settles after an outage of a bridge, at the soonest; None where it doesn't."""
    if not limits.settle:
        return None
    return settles_until(known_listeners(), settle=limits.settle, now=now)


def known_listeners() -> list[Listener]:
    """Bridges that were ever in contact."""
    rows = Bridge.objects.values_list("name", "heard_at", "recovered_at")
    return [Listener(name, heard_at, recovered_at) for name, heard_at, recovered_at in rows if heard_at]


def next_look(until: datetime, now: datetime) -> datetime:
    """When to look again at a hold that settles: nobody knows when a bridge that is away comes back."""
    return min(until, now + OUTAGE)


def _locked(enterprise_ids: Collection[int]) -> dict[int, dict[int, int]]:
    rows = LockCount.objects.filter(pk__in=list(enterprise_ids)).order_by("pk").select_for_update()
    return {
        pk: {int(minute): number for minute, number in minutes.items()}
        for pk, minutes in rows.values_list("pk", "minutes")
    }


def _devices(enterprise_ids: Iterable[int]) -> Counter[int]:
    """Devices of each enterprise as last counted for the overview; 0 before the first count, so the least holds."""
    ids = list(enterprise_ids)
    if not ids:
        return Counter()
    rows = Figure.objects.filter(enterprise_id__in=ids, name="services").exclude(bucket=State.TERMINATED.value)
    sums = rows.order_by().values_list("enterprise_id").annotate(devices=Sum("number"))
    return Counter({place: int(number) for place, number in sums})
