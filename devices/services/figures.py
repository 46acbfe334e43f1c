"""The figures of devices: services by state, ends by week, who is online, commands that wait or failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import MO, relativedelta
from django.db.models import Count as Number
from django.db.models import Q, QuerySet
from django.db.models.functions import TruncWeek

from amp.foundation.bulk import among
from amp.foundation.services.figures import Count, Counted, Place, recount
from devices.delivery import CommandStatus
from devices.lifecycle import State
from devices.models import Command, DeviceService, Presence
from devices.models.commands import OPEN_STATUSES

GROUP = "devices"
NAMES = ("services", "ends", "ends_soon", "online", "commands")
WEEKS = 12
SOON = timedelta(days=30)
RECENTLY = timedelta(days=7)


def count_devices(*, now: datetime, every: timedelta) -> int:
    """Count the devices of enterprises whose figures are due; number of enterprises."""
    return recount(GROUP, _counted, now=now, every=every)


def week_of(moment: datetime, zone: str) -> datetime:
    """Monday 00:00 in `zone` of the week in which `moment` lies."""
    local = moment.astimezone(ZoneInfo(zone))
    return local + relativedelta(weekday=MO(-1), hour=0, minute=0, second=0, microsecond=0)


def _counted(places: Sequence[Place], now: datetime, whole: bool) -> Counted:
    """Everything, every time: nothing of it belongs to the past."""
    ids = [place.id for place in places]
    zones: dict[str, list[int]] = defaultdict(list)
    for place in places:
        zones[place.time_zone].append(place.id)
    weeks = [count for zone, members in zones.items() for count in _ends(members, zone, now)]
    return Counted([*_services(ids), *weeks, *_soon(ids, now), *_online(ids), *_commands(ids, now)], Q(name__in=NAMES))


def _services(ids: Sequence[int]) -> Iterator[Count]:
    """By state, from the index alone."""
    rows = DeviceService.objects.filter(among("enterprise_id", ids))
    for enterprise_id, state, number in _grouped(rows, "enterprise_id", "state"):
        yield Count(enterprise_id, "services", state, number)


def _running(ids: Sequence[int]) -> QuerySet[DeviceService]:
    """Services of paid mode that will end."""
    rows: QuerySet[DeviceService] = DeviceService.objects.paid()
    return rows.filter(among("enterprise_id", ids), state=State.ACTIVE.value)


def _ends(ids: Sequence[int], zone: str, now: datetime) -> Iterator[Count]:
    """By week, this one and those that follow; a bucket is named by its Monday."""
    first = week_of(now, zone)
    rows = _running(ids).filter(ends_at__gte=first, ends_at__lt=first + relativedelta(weeks=WEEKS))
    weeks = rows.annotate(week=TruncWeek("ends_at", tzinfo=ZoneInfo(zone)))
    for enterprise_id, week, number in _grouped(weeks, "enterprise_id", "week"):
        yield Count(enterprise_id, "ends", f"{week:%Y-%m-%d}", number)


def _soon(ids: Sequence[int], now: datetime) -> Iterator[Count]:
    rows = _running(ids).filter(ends_at__gt=now, ends_at__lte=now + SOON)
    for enterprise_id, number in _grouped(rows, "enterprise_id"):
        yield Count(enterprise_id, "ends_soon", "", number)


def _online(ids: Sequence[int]) -> Iterator[Count]:
    rows = Presence.objects.filter(among("device__enterprise_id", ids), is_online=True)
    for enterprise_id, number in _grouped(rows, "device__enterprise_id"):
        yield Count(enterprise_id, "online", "", number)


def _commands(ids: Sequence[int], now: datetime) -> Iterator[Count]:
    """Devices with an open one, and with one that failed within a week."""
    rows = Command.objects.filter(among("enterprise_id", ids), slot="LOCK").order_by()
    failed = rows.filter(status=CommandStatus.FAILED.value, closed_at__gt=now - RECENTLY)
    for bucket, found in (("waiting", rows.filter(status__in=OPEN_STATUSES)), ("failed", failed)):
        devices = found.values_list("enterprise_id").annotate(number=Number("device_id", distinct=True))
        for enterprise_id, number in devices:
            yield Count(enterprise_id, "commands", bucket, number)


def _grouped(rows: QuerySet[DeviceService] | QuerySet[Presence], *columns: str) -> Iterator[tuple]:  # type: ignore[type-arg]
    return rows.order_by().values_list(*columns).annotate(number=Number("pk")).iterator()
