"""Columns of an exported table: a title, where the value comes from, and how it is written.

Numbers stay numbers; money becomes a decimal in major units; moments are ISO 8601 in the zone of the row's enterprise,
with the offset; choices and actors are the reader's words; every other text is disarmed (F90).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from amp.foundation.cells import escaped
from amp.foundation.money import minor_digits
from amp.foundation.templatetags.amp_display import actor_name

CHUNK = 2_000
Value = str | int | float | Decimal
"""What a cell holds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `path` is a field path of the list's table; `currency` the path of the code that goes with money.

    `names_actor`: the value says who did it, and is written in the reader's words. `words` tells any other value so.
    """

    title: Any
    path: str
    choices: Sequence[tuple[Any, Any]] = ()
    currency: str = ""
    names_actor: bool = False
    words: Callable[[Any], str] | None = None


class Table:
    """Rows of a queryset as cells, read in chunks by primary key, newest first: memory doesn't grow with the rows.

    Made while the reader's language is active; read later, when the answer is on its way. `zone` is the path of the
    time zone, or "" for UTC.
    """

    def __init__(self, rows: QuerySet[Any], columns: Sequence[Column], zone: str = "enterprise__time_zone") -> None:
        self.titles = [str(column.title) for column in columns]
        self._rows = rows.order_by("-pk")
        self._zone = zone
        self._paths = [*(column.path for column in columns), *(column.currency or "pk" for column in columns)]
        self._writers = [_writer(column) for column in columns]

    def __iter__(self) -> Iterator[list[Value]]:
        """Cells of one row after the other."""
        rows, width = self._rows, len(self._writers)
        while True:
            found = list(rows.values_list(*self._selected())[:CHUNK])
            for row in found:
                zone = _zone(row[-2] or "UTC") if self._zone else _zone("UTC")
                yield [
                    write(row[at], row[width + at], zone) if row[at] is not None else ""
                    for at, write in enumerate(self._writers)
                ]
            if len(found) < CHUNK:
                return
            rows = self._rows.filter(pk__lt=found[-1][-1])

    def _selected(self) -> list[str]:
        return [*self._paths, self._zone or "pk", "pk"]


Writer = Callable[[Any, Any, tzinfo], Value]


def _writer(column: Column) -> Writer:
    if column.currency:
        return _money
    if column.names_actor:
        return lambda value, _beside, _zone: escaped(actor_name(value))
    if column.words:
        return _told(column.words, get_language())
    if column.choices:
        words = {value: str(word) for value, word in column.choices}
        return lambda value, _beside, _zone: escaped(words.get(value, str(value)))
    yes, no = str(_("yes")), str(_("no"))

    def write(value: Any, _beside: Any, zone: tzinfo) -> Value:
        match value:
            case bool():
                return yes if value else no
            case datetime():
                return value.astimezone(zone).isoformat(timespec="seconds")
            case int() | float() | Decimal():
                return value
        return escaped(str(value))

    return write


def _told(tell: Callable[[Any], str], language: str | None) -> Writer:
    def write(value: Any, _beside: Any, _zone: tzinfo) -> Value:
        with override(language):  # the answer is on its way, and the reader's language isn't active any more
            return escaped(tell(value))

    return write


def _money(minor: int, currency: str, _zone: tzinfo) -> Value:
    return Decimal(minor).scaleb(-minor_digits(currency))


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
