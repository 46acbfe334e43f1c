"""The database after a test that committed: as migrating left it, without a look at tables that stayed empty.

Django would empty all hundred tables and make content types and permissions anew, which takes half a second each time.
"""

from __future__ import annotations

from django.db import connection, transaction

Rows = dict[str, list[str]]


def first_rows() -> Rows:
    """What migrating put into tables: each table that holds rows, with these as texts."""
    return {table: _rows(table) for table in _filled()}


def leave_only(first: Rows) -> None:
    """Delete every row that isn't among `first`, and put those back that are missing or were changed.

    Numbers of rows go on counting. Needs a superuser: triggers that keep rows for ever are passed over.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger and no check of foreign keys
        for table in _filled() | first.keys():
            if table not in first:
                cursor.execute(f"DELETE FROM {_quoted(table)}")
            elif _rows(table) != first[table]:
                cursor.execute(f"DELETE FROM {_quoted(table)}")
                cursor.execute(
                    f"INSERT INTO {_quoted(table)} SELECT (row::{_quoted(table)}).* FROM unnest(%s::text[]) AS row",
                    [first[table]],
                )


def _filled() -> set[str]:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (TABLE {_quoted(table)})" for table in tables)
        )
        return {table for (table,) in cursor.fetchall()}


def _rows(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT each::text FROM {_quoted(table)} AS each ORDER BY 1")
        return [row for (row,) in cursor.fetchall()]


def _quoted(table: str) -> str:
    return str(connection.ops.quote_name(table))
