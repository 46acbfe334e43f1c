"""Rows that a filter offers: all are read where people choose among them, one where a program names its id (F72).

A request of the API costs the same however many products or enterprises there are; another tenant's id is as unknown
as one that was never given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.fields import ChoiceField

LONGEST_ID = 18
"""Digits of an id that fits into a column."""
INDENT = "\N{NO-BREAK SPACE}" * 3


class Offered:
    """Rows of the scope by id and name. `read` holds those that are known already."""

    columns: tuple[str, ...] = ("pk", "name")

    def __init__(self, rows: QuerySet[Any], read: Iterable[tuple[Any, ...]] | None = None) -> None:
        self._rows = rows
        self._read = None if read is None else list(read)

    def __call__(self) -> list[tuple[str, str]]:
        """All of them, as choices; read once."""
        return [(str(row[0]), row[1]) for row in self.all()]

    def __deepcopy__(self, _memo: Any) -> Offered:
        """Forms copy their fields: what was read stays read."""
        return self

    def all(self) -> list[tuple[Any, ...]]:
        """Every row, in order."""
        if self._read is None:
            self._read = list(self._rows.values_list(*self.columns))
        return self._read

    def find(self, value: str) -> tuple[Any, ...] | None:
        """The row with that id: among what was read, else by one look-up."""
        if self._read is not None:
            return next((row for row in self._read if str(row[0]) == value), None)
        if not is_id(value):
            return None
        row: tuple[Any, ...] | None = self._rows.filter(pk=int(value)).values_list(*self.columns).first()
        return row


class OfferedTree(Offered):
    """Enterprises, each below the one it belongs to (E1)."""

    columns = ("pk", "name", "path")
    _found: tuple[Any, ...] | None = None

    def __call__(self) -> list[tuple[str, str]]:
        """Names, indented by how far down they are."""
        least = min((path.count("/") for _pk, _name, path in self.all()), default=0)
        return [(str(pk), INDENT * (path.count("/") - least) + name) for pk, name, path in self.all()]

    def find(self, value: str) -> tuple[Any, ...] | None:
        """As ever; the one that was found last is remembered, since a filter first checks and then asks."""
        if self._found is None or str(self._found[0]) != value:
            self._found = super().find(value)
        return self._found

    def below(self, value: str) -> list[int]:
        """Ids of the enterprise and of those below it; none where it isn't there."""
        root = self.find(value)
        if root is None:
            return []
        if self._read is None:
            return list(self._rows.filter(path__startswith=root[2]).values_list("pk", flat=True))
        return [pk for pk, _name, path in self._read if path.startswith(root[2])]


class RowChoiceField(ChoiceField):
    """A choice among rows."""

    def __init__(self, *args: Any, choices: Any = (), **options: Any) -> None:
        self.offered = choices
        super().__init__(*args, choices=choices, **options)

    def valid_value(self, value: Any) -> bool:
        """Whether the scope holds the row."""
        if isinstance(self.offered, Offered):
            return self.offered.find(str(value)) is not None
        return bool(super().valid_value(value))


class RowChoiceFilter(django_filters.ChoiceFilter):
    """By a row; the filter set puts its `Offered` into `extra["choices"]` for each request."""

    field_class = RowChoiceField


def is_id(value: str) -> bool:
    """Whether the text is an id as we write it."""
    return len(value) <= LONGEST_ID and value.isascii() and value.isdecimal() and value[0] != "0"
