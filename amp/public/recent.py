"""The payment that somebody has just made here: while it is fresh, the page doesn't ask for another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from amp.foundation.money import format_money
from amp.public.wording import long_day
from billing.models import LineStatus, OrderChannel, OrderLine, OrderStatus
from devices.models import Device

FRESH = timedelta(minutes=30)
"""As long as an order may wait for its payment: a form that is older was left open by mistake."""


@dataclass(frozen=True, slots=True)
class RecentPayment:
    """A paid order of this page; `ends` is empty until the service was extended."""

    number: str
    amount: str
    ends: str


def recent_payment(device: Device, *, zone: ZoneInfo, language: str, now: datetime) -> RecentPayment | None:
    """The newest payment of the last 30 minutes, or one that still waits to be applied; refused ones don't count."""
    lines = OrderLine.objects.filter(
        device=device,
        order__channel=OrderChannel.PUBLIC.value,
        order__status__in=[OrderStatus.PAID.value, OrderStatus.FULFILLED.value],
        status__in=[LineStatus.QUEUED.value, LineStatus.APPLIED.value],
    )
    line = lines.select_related("order").order_by("-order__paid_at", "-pk").first()
    if line is None or line.order.paid_at is None:
        return None
    applied = line.status == LineStatus.APPLIED.value
    if applied and not now - FRESH <= line.order.paid_at <= now:
        return None
    return RecentPayment(
        number=line.order.number,
        amount=format_money(line.order.total, line.order.currency, language),
        ends=long_day(line.ends_at, zone) if applied and line.ends_at else "",
    )
