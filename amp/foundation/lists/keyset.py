"""Pages of a list without OFFSET: each begins where the one before ended, at the same cost wherever that is.

Rows are ordered by one column and, among equal values, by primary key in the same direction. Rows without a value come
last in either direction. A cursor spells the last row of a page: "17", "2027-02-01T00:00:00+00:00~17", or "~17" for
a row without a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

Key = tuple[Any, int]
"""Value of the ordering's column and primary key of one row."""
LARGEST_KEY = 2**63 - 1


class InvalidCursor(ValueError):
    """The cursor isn't one that a page of this ordering has."""


def moment(text: str) -> datetime:
    """The moment that a cursor spells. Raises InvalidCursor."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1900 < found.year < 9000:
        raise InvalidCursor(text)
    return found


@dataclass(frozen=True, slots=True)
class Ordering:
    """One order that a list offers; an index must serve it. Without a column it is the order of primary keys."""

    name: str
    title: Any
    column: str = ""
    descending: bool = True
    nullable: bool = False
    parse: Callable[[str], Any] = moment

    def terms(self, *, backward: bool, empty: bool) -> list[str]:
        """For `order_by`; in the zone of rows without a value only the key is left."""
        sign = "-" if self.descending != backward else ""
        return [f"{sign}pk"] if empty or not self.column else [f"{sign}{self.column}", f"{sign}pk"]

    def beyond(self, key: Key, *, backward: bool) -> Q:
        """Rows that follow `key` in its zone."""
        value, pk = key
        less = self.descending != backward
        if not self.column or value is None:
            return Q(pk__lt=pk) if less else Q(pk__gt=pk)
        if less:
            return Q(**{f"{self.column}__lte": value}) & ~Q(**{self.column: value, "pk__gte": pk})
        return Q(**{f"{self.column}__gte": value}) & ~Q(**{self.column: value, "pk__lte": pk})

    def zones(self, *, backward: bool) -> list[bool]:
        """Whether values are empty, zone by zone in the order of reading."""
        zones = [False, True] if self.nullable else [False]
        return zones[::-1] if backward else zones

    def spelled(self, key: Key) -> str:
        """Cursor of a row."""
        value, pk = key
        if not self.column:
            return str(pk)
        text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
        return f"{text}~{pk}"

    def key_of(self, row: Mapping[str, Any]) -> Key:
        """Key of a row that was read as columns."""
        return (row[self.column] if self.column else None), row["pk"]

    def read(self, cursor: str) -> Key:
        """Key of a cursor. Raises InvalidCursor."""
        text, _, number = cursor.rpartition("~")
        if not (number.isascii() and number.isdecimal() and len(number) < 20 and int(number) <= LARGEST_KEY):
            raise InvalidCursor(cursor)
        if (text and not self.column) or (self.column and not text and not self.nullable):
            raise InvalidCursor(cursor)
        return (self.parse(text) if text else None), int(number)


class Page(NamedTuple):
    """Keys of one page in the order of the list, and whether there is more on either side."""

    keys: list[Key]
    has_previous: bool
    has_next: bool


def first_page(rows: QuerySet[Any], ordering: Ordering, size: int) -> Page:
    """The list's beginning."""
    keys = _keys(rows, ordering, None, size + 1, backward=False)
    return Page(keys[:size], has_previous=False, has_next=len(keys) > size)


def last_page(rows: QuerySet[Any], ordering: Ordering, size: int) -> Page:
    """The list's end: as full a page as any."""
    keys = _keys(rows, ordering, None, size + 1, backward=True)
    return Page(keys[:size][::-1], has_previous=len(keys) > size, has_next=False)


def page_after(rows: QuerySet[Any], ordering: Ordering, size: int, cursor: str) -> Page:
    """What follows the cursor. Raises InvalidCursor."""
    keys = _keys(rows, ordering, ordering.read(cursor), size + 1, backward=False)
    return Page(keys[:size], has_previous=True, has_next=len(keys) > size)


def page_before(rows: QuerySet[Any], ordering: Ordering, size: int, cursor: str) -> Page:
    """What precedes the cursor; the first page where less than a page does. Raises InvalidCursor."""
    keys = _keys(rows, ordering, ordering.read(cursor), size + 1, backward=True)
    if len(keys) <= size:
        return first_page(rows, ordering, size)
    return Page(keys[:size][::-1], has_previous=True, has_next=True)


def rows_after(
    rows: QuerySet[Any], ordering: Ordering, size: int, cursor: str | None, columns: Sequence[str]
) -> tuple[list[dict[str, Any]], Key | None]:
    """The page that follows the cursor (the first one without), as columns of its rows; one query for each zone.

    With it comes the key of its last row if more follow. Raises InvalidCursor.
    """
    start = ordering.read(cursor) if cursor else None
    found = _read(rows, ordering, start, size + 1, backward=False, columns=columns)
    return found[:size], ordering.key_of(found[size - 1]) if len(found) > size else None


def _keys(rows: QuerySet[Any], ordering: Ordering, start: Key | None, limit: int, *, backward: bool) -> list[Key]:
    return [ordering.key_of(row) for row in _read(rows, ordering, start, limit, backward=backward)]


def _read(
    rows: QuerySet[Any],
    ordering: Ordering,
    start: Key | None,
    limit: int,
    *,
    backward: bool,
    columns: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Up to `limit` rows from `start`, in the direction of reading: at most one query for each zone."""
    found: list[dict[str, Any]] = []
    wanted = sorted({"pk", *columns, *([ordering.column] if ordering.column else [])})
    for empty, part in _zones(rows, ordering, start, backward=backward):
        ordered = part.select_related(None).order_by(*ordering.terms(backward=backward, empty=empty))
        found += ordered.values(*wanted)[: limit - len(found)]
        if len(found) >= limit:
            break
    return found


def _zones(
    rows: QuerySet[Any], ordering: Ordering, start: Key | None, *, backward: bool
) -> Iterator[tuple[bool, QuerySet[Any]]]:
    zones = ordering.zones(backward=backward)
    if start is not None and ordering.nullable:
        zones = zones[zones.index(start[0] is None) :]
    for place, empty in enumerate(zones):
        part = rows.filter(**{f"{ordering.column}__isnull": empty}) if ordering.nullable else rows
        if start is not None and place == 0:
            part = part.filter(ordering.beyond(start, backward=backward))
        yield empty, part
