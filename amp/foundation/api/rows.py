"""Rows of lists as columns: read by `.values()` and rendered as they are, without a model instance for each (row E).

A `Row` is an ordinary serializer for the schema and for one resource. For a page it knows which columns it is made of
and shapes them itself; both ways tell the same, which a test holds for every list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

from rest_framework import serializers

Values = Mapping[str, Any]


class Derived(ABC, serializers.Field):
    """A field made of columns of its row; subclasses name them and say what becomes of them."""

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"source": "*", "read_only": True, **kwargs})

    @abstractmethod
    def of(self, *values: Any) -> Any:
        """What the field shows, given the columns in the order of `columns`."""

    def to_representation(self, value: Any) -> Any:
        """The same, of an instance."""
        return self.of(*(getattr(value, column) for column in self.columns))


class Row(serializers.ModelSerializer):
    """What a list shows of each row: columns of its table and of those it points to, `Derived` fields, other `Row`s."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """For `.values()`."""
        return tuple(sorted({column for shown in _fields_of(cls) for column in shown.columns}))

    @classmethod
    def page(cls, rows: Iterable[Values]) -> list[dict[str, Any]]:
        """What is told of rows that have been read as `columns`."""
        fields = _fields_of(cls)
        return [{shown.name: shown.of(values) for shown in fields} for values in rows]


class _Shown(NamedTuple):
    name: str
    columns: tuple[str, ...]
    of: Callable[[Values], Any]


@cache
def _fields_of(row: type[Row], prefix: str = "") -> tuple[_Shown, ...]:
    return tuple(_read(row, prefix))


def _read(row: type[Row], prefix: str) -> Iterator[_Shown]:
    for name, field in row().fields.items():
        source = prefix + "__".join(field.source_attrs)
        if isinstance(field, Derived):
            yield _derived(name, field, prefix)
        elif isinstance(field, Row):
            yield _nested(name, _fields_of(type(field), f"{source}__"))
        else:
            yield _Shown(name, (source,), itemgetter(source))


def _derived(name: str, field: Derived, prefix: str) -> _Shown:
    columns = tuple(prefix + column for column in field.columns)
    return _Shown(name, columns, lambda values: field.of(*(values[column] for column in columns)))


def _nested(name: str, fields: tuple[_Shown, ...]) -> _Shown:
    columns = tuple(column for shown in fields for column in shown.columns)
    return _Shown(name, columns, lambda values: {shown.name: shown.of(values) for shown in fields})
