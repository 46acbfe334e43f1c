"""Calendar periods in an enterprise's time zone (A14, A15, F40).

Instants go in and come out as aware UTC datetimes. Months are counted on the local wall clock of the zone,
always from the anchor: the n-th end never depends on the end before it, so 31 January gives 28 February, then 31 March.

Daylight saving, decided once:
- a wall time that doesn't exist (clocks go forward) moves forward by the length of the gap: 02:30 becomes 03:30;
- a wall time that exists twice (clocks go back) is the same one of the two as the anchor's: the first, unless
  the anchor itself lies in the second.
"""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from dateutil.relativedelta import relativedelta

HORIZON_YEARS = 30
"""A service can't be paid further ahead than this (A15)."""
MAX_MONTHS = 12 * 100


class UnknownZone(ValueError):
    """The name isn't a time zone of the IANA database."""


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    if name not in _names():
        raise UnknownZone(
            f"“{name[:64]}” is not a time zone. Choose an IANA name such as Asia/Shanghai or Europe/Berlin."
        )
    return ZoneInfo(name)


def check_zone(name: object) -> str:
    """Return `name` if it is an IANA time zone, else raise UnknownZone with a sentence for the form."""
    if not isinstance(name, str):
        raise UnknownZone("Choose a time zone by its IANA name, such as Asia/Shanghai.")
    _zone(name)
    return name


def _require_aware(instant: datetime) -> None:
    if instant.utcoffset() is None:
        raise ValueError("A period needs an aware datetime in UTC, not a naive one.")


def _require_range(name: str, number: int, maximum: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} must be a whole number, not {type(number).__name__}.")
    if not 0 <= number <= maximum:
        raise ValueError(f"{name} must be between 0 and {maximum}.")


def _at_wall(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """UTC instant of a naive local wall time; gaps and folds as the module says."""
    instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) != wall:
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return instant


def _shift(anchor: datetime, delta: relativedelta, zone: str) -> datetime:
    _require_aware(anchor)
    place = _zone(zone)
    local = anchor.astimezone(place)
    return _at_wall(local.replace(tzinfo=None, fold=0) + delta, place, local.fold)


def add_months(anchor: datetime, months: int, zone: str) -> datetime:
    """The instant `months` calendar months after `anchor` on the wall clock of `zone` (A14).

    The day is cut to the length of the target month: 31 January + 1 is 28 or 29 February, + 2 is 31 March, and
    29 February + 12 is 28 February. Raises UnknownZone, TypeError for anything but an int, ValueError outside
    0..MAX_MONTHS.
    """
    _require_range("months", months, MAX_MONTHS)
    return _months_later(anchor, months, zone)


@lru_cache(maxsize=4096)
def _months_later(anchor: datetime, months: int, zone: str) -> datetime:
    """A batch that was paid at one moment asks the same thousands of times."""
    return _shift(anchor, relativedelta(months=months), zone)


def is_within_horizon(now: datetime, end: datetime) -> bool:
    """Whether `end` is at most 30 calendar years after `now`, counted in UTC (A15)."""
    _require_aware(now)
    _require_aware(end)
    return end <= _horizon(now)


@lru_cache(maxsize=64)
def _horizon(now: datetime) -> datetime:
    return now.astimezone(UTC) + relativedelta(years=HORIZON_YEARS)


def next_local_hour(after: datetime, hour: int, zone: str) -> datetime:
    """The first instant later than `after` at which the wall clock of `zone` shows `hour`:00."""
    _require_aware(after)
    place = _zone(zone)
    today = after.astimezone(place).replace(tzinfo=None, hour=hour, minute=0, second=0, microsecond=0, fold=0)
    first = _at_wall(today, place, 0)
    return first if first > after else _at_wall(today + relativedelta(days=1), place, 0)
