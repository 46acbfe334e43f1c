"""Set-based writes behind two functions, the same for 1 row and for 100,000.

PostgreSQL gets `UPDATE … FROM unnest(…)` and COPY; SQLite, which the demo runs on, gets executemany.
Both skip model instances and signals: callers pass plain rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection, models

Row = Sequence[Any]


def chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` items."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def update_rows(model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> int:
    """Set `columns` (field names) of the rows whose primary key comes first in each row; number of rows changed.

    >>> update_rows(DeviceService, ("state", "due_at"), [(7, "EXPIRED", None)])  # doctest: +SKIP
    """
    if not rows:
        return 0
    fields = [model._meta.pk, *(model._meta.get_field(name) for name in columns)]
    prepared = _prepare(fields, rows)
    if connection.vendor == "postgresql":
        return _update_from_unnest(model, fields, prepared)
    sets = ", ".join(f"{_quoted(field)} = %s" for field in fields[1:])
    statement = f"UPDATE {_table(model)} SET {sets} WHERE {_quoted(fields[0])} = %s"  # noqa: S608 (names of our models)
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(*row[1:], row[0]) for row in prepared])
    return len(rows)


def insert_rows(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Row], *, ignore_conflicts: bool = False
) -> int:
    """Insert rows of `columns` (field names, all that have no default in the database); number of rows handed in.

    With `ignore_conflicts` a row that a unique constraint already holds is left as it is.
    """
    if not rows:
        return 0
    fields = [model._meta.get_field(name) for name in columns]
    prepared = _prepare(fields, rows)
    names = ", ".join(_quoted(field) for field in fields)
    if ignore_conflicts:
        return _insert_new(model, fields, prepared, names)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {_table(model)} ({names}) FROM STDIN") as copy:
                for row in prepared:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {_table(model)} ({names}) VALUES ({marks})", prepared)  # noqa: S608
    return len(rows)


def _insert_new(model: type[models.Model], fields: Sequence[Any], rows: Sequence[Row], names: str) -> int:
    head = f"INSERT INTO {_table(model)} ({names})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{_array_type(field)}[]" for field in fields)
            statement = f"{head} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"{head} VALUES ({marks}) ON CONFLICT DO NOTHING", rows)
    return len(rows)


def _update_from_unnest(model: type[models.Model], fields: Sequence[Any], rows: Sequence[Row]) -> int:
    names = [_quoted(field) for field in fields]
    arrays = ", ".join(f"%s::{_array_type(field)}[]" for field in fields)
    sets = ", ".join(f"{name} = fresh.{name}" for name in names[1:])
    statement = (
        f"UPDATE {_table(model)} SET {sets} FROM unnest({arrays}) AS fresh({', '.join(names)}) "  # noqa: S608
        f"WHERE {_table(model)}.{names[0]} = fresh.{names[0]}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        return int(cursor.rowcount)


_NATIVE: dict[str, type] = {
    **dict.fromkeys(("CharField", "TextField"), str),
    **dict.fromkeys(("BigAutoField", "BigIntegerField", "IntegerField", "PositiveIntegerField"), int),
    **dict.fromkeys(("PositiveSmallIntegerField", "ForeignKey", "OneToOneField"), int),
    "BooleanField": bool,
    "DateTimeField": datetime,
}
"""What psycopg takes as it is: a field's own preparation of each value would cost more than the statement."""


def _prepare(fields: Sequence[Any], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    for row in rows:
        if len(fields) != len(row):
            raise ValueError(f"A row has {len(row)} values for {len(fields)} columns.")
    columns = [_prepared_column(field, column) for field, column in zip(fields, zip(*rows, strict=True), strict=True)]
    return list(zip(*columns, strict=True))


def _prepared_column(field: Any, values: Sequence[Any]) -> Sequence[Any]:
    native = _NATIVE.get(field.get_internal_type()) if connection.vendor == "postgresql" else None
    if native and all(value is None or type(value) is native for value in values):
        return values
    return [field.get_db_prep_save(value, connection) for value in values]


def _array_type(field: Any) -> str:
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection)).split("(")[0]


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
