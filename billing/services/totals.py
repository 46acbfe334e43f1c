"""What each merchant received, gave back, applied and could not apply, by day or month: two statements over the ledger.

Days and months are those of the zone that is asked for; a movement counts on the day on which it was booked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, TruncDay, TruncMonth

from billing.models import EntryKind, MoneyEntry

MOST = 1_000
"""Rows of one table; sums are of everything all the same."""
LONGEST = timedelta(days=366 * 5)


class TotalsRow(NamedTuple):
    """One merchant, currency and day or month; amounts in minor units. `payments` counts what was received."""

    period: date | None
    merchant: str
    currency: str
    received: int
    refunded: int
    applied: int
    unapplied: int
    payments: int


class Totals(NamedTuple):
    """The table, the sum of each currency, and whether rows were left off."""

    rows: Sequence[TotalsRow]
    sums: Sequence[TotalsRow]
    is_cut: bool


def totals(
    *, first: date, last: date, zone: ZoneInfo, by_month: bool, enterprises: Sequence[int], merchant_id: int | None
) -> Totals:
    """Movements booked from `first` to `last`, both included, of these enterprises' orders."""
    entries = MoneyEntry.objects.filter(
        created_at__gte=datetime.combine(first, time.min, zone),
        created_at__lt=datetime.combine(last + timedelta(days=1), time.min, zone),
        enterprise_id__in=list(enterprises),
    )
    if merchant_id is not None:
        entries = entries.filter(merchant_id=merchant_id)
    truncate = TruncMonth if by_month else TruncDay
    table = _summed(entries, period=truncate("created_at", tzinfo=zone), name=F("merchant__name"))
    rows = [_row(each) for each in table.order_by("-period", "name", "merchant_id", "currency")[: MOST + 1]]
    sums = [_row({"period": None, "name": "", **each}) for each in _summed(entries).order_by("currency")]
    return Totals(rows[:MOST], sums, is_cut=len(rows) > MOST)


def _summed(entries: QuerySet[MoneyEntry], **groups: Any) -> QuerySet[Any]:
    keys = [*groups, *(["merchant_id"] if groups else []), "currency"]
    grouped: QuerySet[Any] = entries.annotate(**groups).values(*keys)
    summed: QuerySet[Any] = grouped.annotate(
        received=_sum(Q(kind=EntryKind.RECEIVED.value)),
        refunded=_sum(Q(kind=EntryKind.REFUNDED.value)),
        applied=_pot(EntryKind.APPLIED.value),
        unapplied=_pot(EntryKind.UNAPPLIED.value),
        payments=Count("pk", filter=Q(kind=EntryKind.RECEIVED.value)),
    )
    return summed


def _pot(kind: str) -> CombinedExpression:
    """What came into the pot, less what was taken from it: received = applied + unapplied + refunded."""
    return _sum(Q(kind=kind)) - _sum(Q(taken_from=kind))


def _sum(which: Q) -> Coalesce:
    return Coalesce(Sum("amount", filter=which), Value(0))


def _row(found: dict[str, Any]) -> TotalsRow:
    period = found["period"]
    return TotalsRow(
        period.date() if isinstance(period, datetime) else period,
        found["name"],
        *(found[name] for name in TotalsRow._fields[2:]),
    )
