"""The fairest limit of a writer: the very rows that it wrote, ready made, written again by the database alone.

The product runs once, unmeasured; its rows are kept, everything is put back as it was, and then the same rows go in
again: COPY for new ones, `UPDATE … FROM` for changed ones, in as many transactions as the product took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models, transaction


@dataclass(frozen=True)
class Added:
    """Rows that the product inserts into a table with a numeric key."""

    model: type[models.Model]


@dataclass(frozen=True)
class Changed:
    """Columns of rows that the product updates; the rows are those whose `key` is among the given ids."""

    model: type[models.Model]
    key: str
    columns: tuple[str, ...]


@dataclass
class Recording:
    """What one run of the product wrote, cut into `parts`."""

    parts: int
    added: list[tuple[str, list[bytes]]]
    changed: list[tuple[str, list[list[int]]]]
    counts: list[tuple[Added, int, int]]
    """Of each table: the highest key before, and how many rows the product added."""

    def play(self) -> None:
        """Write it again: one transaction a part."""
        for part in range(self.parts):
            self._write(part)

    def require(self) -> None:
        """Raises AssertionError where fewer or more rows came in than the product had written."""
        for each, mark, count in self.counts:
            found = each.model._base_manager.filter(pk__gt=mark).count()
            assert found == count, f"{found:,} rows of {each.model.__name__}, the product wrote {count:,}"

    @transaction.atomic
    def _write(self, part: int) -> None:
        with connection.cursor() as cursor:
            for statement, keys in self.changed:
                cursor.execute(statement, [keys[part]])
            for statement, rows in self.added:
                with cursor.copy(statement) as copy:
                    copy.write(rows[part])


def record(
    run: Callable[[], Any], ids: Sequence[int], added: Sequence[Added], changed: Sequence[Changed], parts: int
) -> Recording:
    """Let the product `run`, keep what it wrote about `ids`, and put everything back."""
    marks = [(each, _highest(each)) for each in added]
    for each in changed:
        _keep(each, "before", ids)
    run()
    for each in changed:
        _keep(each, "after", ids)
    rows = [(_copy_in(each), _copied(each, mark, parts)) for each, mark in marks]
    counts = [(each, mark, each.model._base_manager.filter(pk__gt=mark).count()) for each, mark in marks]
    _put_back(marks, changed)
    return Recording(parts, rows, [(_update(each), _keys(each, parts)) for each in changed], counts)


def _highest(each: Added) -> int:
    return each.model._base_manager.aggregate(highest=models.Max("pk"))["highest"] or 0


def _keep(each: Changed, when: str, ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {_kept(each, when)}")
        source = f"SELECT * FROM {each.model._meta.db_table} WHERE {each.key} = ANY(%s)"
        cursor.execute(f"CREATE TABLE {_kept(each, when)} AS {source}", [list(ids)])
        cursor.execute(f"CREATE UNIQUE INDEX ON {_kept(each, when)} ({each.model._meta.pk.column})")
        cursor.execute(f"ANALYZE {_kept(each, when)}")


def _kept(each: Changed, when: str) -> str:
    return f"bench_{when}_{each.model._meta.db_table}"


def _names(each: Added) -> str:
    fields = each.model._meta.concrete_fields
    return ", ".join(f'"{field.column}"' for field in fields if not field.primary_key)


def _copy_in(each: Added) -> str:
    return f"COPY {each.model._meta.db_table} ({_names(each)}) FROM STDIN"


def _copied(each: Added, mark: int, parts: int) -> list[bytes]:
    """The new rows in the order in which they were written, as COPY gives them."""
    table = each.model._meta.db_table
    statement = (
        f"COPY (SELECT {_names(each)} FROM (SELECT *, ntile({parts}) OVER (ORDER BY id) AS part FROM {table} "
        f"WHERE id > {mark}) AS fresh WHERE part = {{part}} ORDER BY id) TO STDOUT"
    )
    found = []
    with connection.cursor() as cursor:
        for part in range(1, parts + 1):
            with cursor.copy(statement.format(part=part)) as copy:
                found.append(b"".join(bytes(block) for block in copy))
    return found


def _put_back(marks: Sequence[tuple[Added, int]], changed: Sequence[Changed]) -> None:
    """As before the run. Triggers rest: neither what is append-only nor what refers to it minds."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for each, mark in marks:
            cursor.execute(f"DELETE FROM {each.model._meta.db_table} WHERE id > %s", [mark])
        for old in changed:
            table, key = old.model._meta.db_table, old.model._meta.pk.column
            cursor.execute(f"DELETE FROM {table} USING {_kept(old, 'before')} AS kept WHERE {table}.{key} = kept.{key}")
            cursor.execute(f"INSERT INTO {table} SELECT * FROM {_kept(old, 'before')}")
        cursor.execute("RESET session_replication_role")
        tables = [each.model._meta.db_table for each in (*(new for new, _mark in marks), *changed)]
        cursor.execute(f"VACUUM ANALYZE {', '.join(tables)}")


def _update(each: Changed) -> str:
    table, key = each.model._meta.db_table, each.model._meta.pk.column
    sets = ", ".join(f"{name} = fresh.{name}" for name in each.columns)
    return (
        f"UPDATE {table} SET {sets} FROM {_kept(each, 'after')} AS fresh "
        f"WHERE {table}.{key} = fresh.{key} AND fresh.{key} = ANY(%s)"
    )


def _keys(each: Changed, parts: int) -> list[list[int]]:
    """The rows that the run changed, in parts of equal size."""
    key = each.model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key}, ntile({parts}) OVER (ORDER BY {key}) FROM "
            f"(SELECT * FROM {_kept(each, 'after')} EXCEPT SELECT * FROM {_kept(each, 'before')}) AS changed"
        )
        found: list[list[int]] = [[] for _ in range(parts)]
        for pk, part in cursor.fetchall():
            found[part - 1].append(pk)
    return found
