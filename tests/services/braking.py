"""Fleets that meet the brakes of P8: limits, bridges and figures as the product stores them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Value

from amp.foundation.models import Enterprise, Figure
from amp.foundation.services.configuration import LockLimits, set_lock_limits
from devices.models import Bridge, Command, DeviceService, LockHold
from devices.services.lock_releases import work_off_holds
from tests.services.fleet import NOW, Fleet
from tests.services.trials import young_fleet

MICROSECOND = timedelta(microseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SETTLE = 5 * MINUTE
ANN = "ann@example.com"


def limit(*, settle: int = 5, least: int = 100, percent: int = 20) -> None:
    """As platform administrators configure it."""
    set_lock_limits(limits=LockLimits(settle, least, percent), actor="root@example.com", now=NOW)


def expiring(size: int, *, at: datetime = NOW) -> Fleet:
    """Devices whose period ends at `at`; the sweep takes them in the order of their ids."""
    fleet = young_fleet(size, online_since=NOW)
    end_at(fleet.ids, at)
    # Of equal moments the database may take any first.
    before = ExpressionWrapper(Value(MICROSECOND) * (max(fleet.ids) - F("pk")), DurationField())
    DeviceService.objects.filter(pk__in=fleet.ids).update(due_at=Value(at) - before)
    return fleet


def end_at(ids: list[int], at: datetime) -> None:
    DeviceService.objects.filter(pk__in=ids).update(
        state="ACTIVE", anchor=at - DAY, anchor_months=1, ends_at=at, due_at=at, desired_lock="UNLOCKED"
    )


def bridge(
    heard_at: datetime | None, recovered_at: datetime | None = None, *, name: str = "amp-bridge", connected: bool = True
) -> None:
    """As a bridge stores its beats."""
    values = {"heard_at": heard_at, "recovered_at": recovered_at, "connected": connected}
    Bridge.objects.update_or_create(name=name, defaults=values)


def owns(number: int) -> None:
    """So many devices of every enterprise were counted for the overview."""
    for enterprise in Enterprise.objects.all():
        Figure.objects.update_or_create(
            enterprise=enterprise, name="services", bucket="ACTIVE", defaults={"number": number}
        )


def held() -> int:
    return Command.objects.filter(hold__isnull=False).count()


def going() -> int:
    """Open commands that nothing holds."""
    return Command.objects.filter(hold=None, status="PENDING").count()


def the_hold() -> LockHold:
    return LockHold.objects.get()


def work_off(now: datetime, limit: int = 2_000) -> int:
    """Until nothing is due; number of commands."""
    total = 0
    while moved := work_off_holds(now=now, limit=limit):
        total += moved
    return total


def fate(fleet: Fleet, index: int = 0) -> tuple[str, bool]:
    """Status of a device's newest command, and whether a brake holds it."""
    row = Command.objects.filter(device_id=fleet.ids[index]).latest("generation")
    return row.status, row.hold_id is not None
