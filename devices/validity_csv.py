"""Lists of SIM and RTK validities: which columns there are, and everything that is wrong with a row (N3, F92).

The first line names the columns: `key`, `service` (SIM or RTK) and `until`; if wanted `from` and `product`. A date is
valid through its last moment in the enterprise's time zone; a moment (2027-03-31T12:00+08:00) is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from amp.foundation.calendar import is_within_horizon
from devices.registration_csv import ReadRow, key_problems
from devices.sheets import Columns, Line, Problem, Sheet, read_sheet

COLUMNS = Columns(
    {
        "key": "key",
        "device_key": "key",
        "product": "product",
        "product_key": "product",
        "service": "service",
        "until": "until",
        "valid_until": "until",
        "ends": "until",
        "from": "from",
        "valid_from": "from",
        "starts": "from",
    },
    needed=("key", "service", "until"),
)
SERVICES = {"sim": "SIM", "rtk": "RTK", "1": "SIM", "2": "RTK"}
"""What people write, and the numbers of the wire (N3)."""
FIRST_YEAR = 2000
DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)


def read_validities(content: bytes, zone: str, now: datetime, product: str = "") -> tuple[Sheet, list[ReadRow]]:
    """Rows of a file, each with its problems; moments of good rows are ISO texts in UTC under `until` and `from`.

    Raises devices.sheets.SheetRefused, and nothing else.
    """
    sheet = read_sheet(content, COLUMNS)
    seen: dict[tuple[str, ...], int] = {}
    return sheet, [_read(line, ZoneInfo(zone), now, product, seen) for line in sheet.lines]


def day_ends_at(day: date, zone: ZoneInfo) -> datetime:
    """The first moment after `day` in the zone: what is valid until a day is valid through it."""
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)


def day_starts_at(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of `day` in the zone."""
    return datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)


def last_day(ends_at: datetime, zone: ZoneInfo) -> date:
    """The last day on which something that ends then is valid; inverse of `day_ends_at`."""
    return (ends_at - timedelta(microseconds=1)).astimezone(zone).date()


def is_possible(moment: datetime, now: datetime) -> bool:
    """No moment that only a slip of the finger can mean: from 2000 to 30 years ahead (as A15)."""
    return moment.year >= FIRST_YEAR and is_within_horizon(now, moment)


def _read(line: Line, zone: ZoneInfo, now: datetime, product: str, seen: dict[tuple[str, ...], int]) -> ReadRow:
    if line.problem:
        return ReadRow(line.number, line.values, [line.problem])
    typed = {"key": "", **line.values, "product": line.values.get("product") or product}
    service = SERVICES.get(typed.get("service", "").lower(), "")
    problems = list(key_problems(line, typed, (typed["product"], typed["key"], service), seen))
    if not service:
        problems.append(Problem(line.number, "bad_service", (typed.get("service", "")[:20],), "service"))
    until, starts = _moment(typed.get("until", ""), zone, ends=True), _moment(typed.get("from", ""), zone, ends=False)
    problems += _moment_problems(line.number, typed, until, starts, now)
    if problems:
        return ReadRow(line.number, typed, problems)
    moments = {"until": until.isoformat() if until else "", "from": starts.isoformat() if starts else ""}
    return ReadRow(line.number, {**typed, "service": service, **moments}, [])


def _moment_problems(
    line: int, typed: dict[str, str], until: datetime | None, starts: datetime | None, now: datetime
) -> Iterator[Problem]:
    for column, moment, needed in (("until", until, True), ("from", starts, False)):
        text = typed.get(column, "")
        if moment is None and (needed or text):
            yield Problem(line, "bad_date", (text[:40],), column)
        elif moment is not None and not is_possible(moment, now):
            yield Problem(line, "date_out_of_range", (text[:40],), column)
    if until and starts and starts >= until:
        yield Problem(line, "ends_before_start", (), "until")


def _moment(text: str, zone: ZoneInfo, *, ends: bool) -> datetime | None:
    """None where the text is neither a date nor a moment."""
    try:
        if found := DATE.fullmatch(text):
            day = date(int(found[1]), int(found[3]), int(found[4]))
            return day_ends_at(day, zone) if ends else day_starts_at(day, zone)
        moment = datetime.fromisoformat(text if ":" in text else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
