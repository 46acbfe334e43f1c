"""The figures of sales: paid orders by month, with their devices and money, and exceptions that wait for a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from django.db.models import Count as Number
from django.db.models import Q, Sum
from django.db.models.functions import TruncMonth

from amp.foundation.bulk import among
from amp.foundation.services.figures import Count, Counted, Place, recount
from billing.models import Order, PaymentException
from billing.services.backlog import sold_by

GROUP = "sales"
MONTHLY = ("paid_orders", "paid_devices", "paid_total")
MONTHS = 12


def count_sales(*, now: datetime, every: timedelta) -> int:
    """Count the sales of enterprises whose figures are due; number of enterprises."""
    return recount(GROUP, _counted, now=now, every=every)


def month_of(moment: datetime, zone: str) -> datetime:
    """The first of the month, 00:00 in `zone`."""
    return moment.astimezone(ZoneInfo(zone)) + relativedelta(day=1, hour=0, minute=0, second=0, microsecond=0)


def _counted(places: Sequence[Place], now: datetime, whole: bool) -> Counted:
    """The last two months, unless everything is asked for: older ones have closed."""
    since = relativedelta(months=(MONTHS if whole else 2) - 1)
    zones: dict[str, list[int]] = defaultdict(list)
    for place in places:
        zones[place.time_zone].append(place.id)
    figures = list(_exceptions([place.id for place in places]))
    for zone, ids in zones.items():
        figures += _orders(ids, zone, month_of(now, zone) - since)
    closed = Q() if whole else Q(bucket__gte=_oldest(zones, now, since))
    return Counted(figures, Q(name="exceptions") | Q(closed, name__in=MONTHLY))


def _oldest(zones: dict[str, list[int]], now: datetime, since: relativedelta) -> str:
    return min((f"{month_of(now, zone) - since:%Y-%m}" for zone in zones), default="")


def _orders(ids: Sequence[int], zone: str, since: datetime) -> Iterator[Count]:
    """By month of payment and, for money, by currency: "2027-02", "2027-02 CNY"."""
    rows = Order.objects.filter(among("enterprise_id", ids), paid_at__gte=since)
    months = rows.annotate(month=TruncMonth("paid_at", tzinfo=ZoneInfo(zone))).order_by()
    orders: dict[tuple[int, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for enterprise_id, month, currency, number, devices, total in months.values_list(
        "enterprise_id", "month", "currency"
    ).annotate(number=Number("pk"), devices=Sum("line_count"), money=Sum("total")):
        bucket = f"{month:%Y-%m}"
        before = orders[enterprise_id, bucket]
        orders[enterprise_id, bucket] = before[0] + number, before[1] + devices
        yield Count(enterprise_id, "paid_total", f"{bucket} {currency}", total)
    for (enterprise_id, bucket), (number, devices) in orders.items():
        yield Count(enterprise_id, "paid_orders", bucket, number)
        yield Count(enterprise_id, "paid_devices", bucket, devices)


def _exceptions(ids: Sequence[int]) -> Iterator[Count]:
    """Counted at the seller's enterprise: its people decide, not the buyer's."""
    rows = PaymentException.objects.filter(sold_by("attempt__order", ids), resolved_at=None).order_by()
    seller = "attempt__order__merchant__enterprise_id"
    for enterprise_id, number in rows.values_list(seller).annotate(number=Number("pk")):
        yield Count(enterprise_id, "exceptions", "", number)
