"""What switching alerts on would do (N1): the page asks before it saves."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.services.terms import services
from alerts.thresholds import WIRE_DAYS, Service
from catalog.models import ServiceRule
from devices.lifecycle import State

SOON = timedelta(hours=24)


def told_within(service: Service, *, now: datetime, within: timedelta = SOON) -> int:
    """How many devices a notice would reach by `now + within`, were alerts of this service switched on now.

    The three ranges don't overlap: nobody is counted twice. One query each, along the index of ends.
    """
    rows = services(service)
    if service is Service.DEVICE:
        paid = ServiceRule.objects.filter(is_current=True, paid_mode=True).values("product_id")
        rows = rows.filter(state=State.ACTIVE.value, product_id__in=paid)
    ahead = [timedelta(days=days) for days in WIRE_DAYS]
    return sum(rows.filter(ends_at__gt=now + each, ends_at__lte=now + each + within).count() for each in ahead)
