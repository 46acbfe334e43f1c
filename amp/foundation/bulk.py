"""Set-based reads and writes behind four functions, the same for 1 row and for 100,000.

PostgreSQL gets `UPDATE … FROM unnest(…)` and COPY; SQLite, which the demo runs on, gets executemany.
Both skip model instances and signals: callers pass plain rows.

For PostgreSQL whole columns of plain values are put into its own words (`amp.foundation.literals`): the driver, asked
value by value, would cost more than the statement. Any other value goes the driver's way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import BooleanField, F, Func, Q, Value
from psycopg.types.datetime import TimestamptzLoader

from amp.foundation import literals

Row = Sequence[Any]


def chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` items."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def read_rows(rows: models.QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list`, in one fetch, with moments decoded by the driver's own compiled code.

    Django's loader of moments is written in Python, and took a sixth of a batch.
    """
    if connection.vendor != "postgresql":
        return list(rows)
    compiler = rows.query.get_compiler(connection=connection)
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:
        return []
    found = read_statement(statement, parameters)
    converters = compiler.get_converters([column[0] for column in compiler.select])
    return [*map(tuple, compiler.apply_converters(found, converters))] if converters else found


def read_statement(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement of one's own, read in the same way; SQLite leaves moments as they are stored."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def among(column: str, values: Collection[Any]) -> Q | Func:
    """Condition that `column` is one of `values`, for thousands of them.

    Django's `__in` makes a parameter of each, which costs more than the query; PostgreSQL takes them as one array.
    """
    if connection.vendor != "postgresql" or not values:  # Django answers an empty list without a query
        return Q(**{f"{column}__in": list(values)})
    if {*map(type, values)} == {int}:  # the driver would dump them one by one
        array, ending = Value(literals.array_of(values)), "::bigint[])"
    else:
        array, ending = Value(list(values)), ")"
    template = f"%(expressions)s{ending}"
    return Func(F(column), array, template=template, arg_joiner=" = ANY(", output_field=BooleanField())


def update_rows(model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> int:
    """Set `columns` (field names) of the rows whose primary key comes first in each row; number of rows changed.

    >>> update_rows(DeviceService, ("state", "due_at"), [(7, "EXPIRED", None)])  # doctest: +SKIP
    """
    if not rows:
        return 0
    fields = [model._meta.pk, *(model._meta.get_field(name) for name in columns)]
    if connection.vendor == "postgresql":
        return _update_from_unnest(model, fields, rows)
    prepared = _prepare(fields, rows)
    sets = ", ".join(f"{_quoted(field)} = %s" for field in fields[1:])
    statement = f"UPDATE {_table(model)} SET {sets} WHERE {_quoted(fields[0])} = %s"  # noqa: S608 (names of our models)
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(*row[1:], row[0]) for row in prepared])
    return len(rows)


def differing(before: Sequence[Row], after: Sequence[Row]) -> set[int]:
    """Places of the columns in which any row isn't as it was; the rows come in the same order.

    Not for documents: {"a": 1} equals {"a": True}.
    """
    pairs = zip(zip(*before, strict=True), zip(*after, strict=True), strict=True)
    return {place for place, (old, new) in enumerate(pairs) if old != new}


def insert_rows(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Row], *, ignore_conflicts: bool = False
) -> int:
    """Insert rows of `columns` (field names, all that have no default in the database); number of rows handed in.

    With `ignore_conflicts` a row that a unique constraint already holds is left as it is.
    """
    if not rows:
        return 0
    fields = [model._meta.get_field(name) for name in columns]
    names = ", ".join(_quoted(field) for field in fields)
    if connection.vendor == "postgresql":
        _insert_new(model, fields, rows, names) if ignore_conflicts else _copy(model, fields, rows, names)
        return len(rows)
    marks = ", ".join(["%s"] * len(fields))
    ending = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    statement = f"INSERT INTO {_table(model)} ({names}) VALUES ({marks}){ending}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(statement, _prepare(fields, rows))
    return len(rows)


def _insert_new(model: type[models.Model], fields: Sequence[Any], rows: Sequence[Row], names: str) -> None:
    source, parameters = _source(fields, rows)
    statement = f"INSERT INTO {_table(model)} ({names}) {source} ON CONFLICT DO NOTHING"
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def _copy(model: type[models.Model], fields: Sequence[Any], rows: Sequence[Row], names: str) -> None:
    columns = [literals.lines(field, column) for field, column in _columns(fields, rows)]
    plain = [column for column in columns if column is not None]
    with connection.cursor() as cursor, cursor.copy(f"COPY {_table(model)} ({names}) FROM STDIN") as copy:
        if len(plain) == len(fields):
            copy.write("\n".join([*map("\t".join, zip(*plain, strict=True)), ""]))
        else:
            for row in _prepare(fields, rows):
                copy.write_row(row)


def _update_from_unnest(model: type[models.Model], fields: Sequence[Any], rows: Sequence[Row]) -> int:
    names = [_quoted(field) for field in fields]
    source, parameters = _source(fields, rows)
    sets = ", ".join(f"{name} = fresh.{name}" for name in names[1:])
    statement = (
        f"UPDATE {_table(model)} SET {sets} FROM ({source}) AS fresh({', '.join(names)}) "  # noqa: S608
        f"WHERE {_table(model)}.{names[0]} = fresh.{names[0]}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


_COMPARABLE = (str, int, bool, datetime)
"""Not documents (`differing`)."""


def _prepare(fields: Sequence[Any], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    columns = _columns(fields, rows)
    prepared = [[field.get_db_prep_save(value, connection) for value in column] for field, column in columns]
    return list(zip(*prepared, strict=True))


def _columns(fields: Sequence[Any], rows: Sequence[Row]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each field with its values. Raises ValueError where a row has more or fewer of them than there are fields."""
    columns = list(zip(*rows, strict=True))
    if len(columns) != len(fields):
        raise ValueError(f"Rows have {len(columns)} values for {len(fields)} columns.")
    return zip(fields, columns, strict=True)


def _source(fields: Sequence[Any], rows: Sequence[Row]) -> tuple[str, list[Any]]:
    """A SELECT of the rows, and its parameters: an array a column, or one value where all rows have the same."""
    shown, constants, given, arrays = [], [], [], []
    for place, (field, column) in enumerate(_columns(fields, rows)):
        kind = _array_type(field)
        if place and _is_constant(column):  # never all of them: something must say how many rows there are
            shown.append(f"%s::{kind}")
            constants.append(field.get_db_prep_save(column[0], connection))
        else:
            shown.append(f"c{place}")
            given.append((f"%s::{kind}[]", f"c{place}"))
            text = literals.array(field, column)
            arrays.append([field.get_db_prep_save(value, connection) for value in column] if text is None else text)
    names, kinds = ", ".join(name for _kind, name in given), ", ".join(kind for kind, _name in given)
    return f"SELECT {', '.join(shown)} FROM unnest({kinds}) AS given({names})", [*constants, *arrays]  # noqa: S608


def _is_constant(column: Sequence[Any]) -> bool:
    """Whether all rows have the same value, of a kind for which being equal means being the same."""
    first = column[0]
    if first is not None and type(first) not in _COMPARABLE:
        return False
    return column.count(first) == len(column) and len({*map(type, column)}) == 1


def _array_type(field: Any) -> str:
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection)).split("(")[0]


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
