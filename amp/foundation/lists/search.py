"""Search by the beginning of a few columns, upper or lower case: one index for each, never a scan.

On PostgreSQL a column is indexed as `upper(column) COLLATE "C"` (`prefix_index`), which serves both the range and its
order. A list shows the first thousand matches; an export holds all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection, migrations
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Collate, Upper

MOST = 1_000
LONGEST = 100


def matching(rows: QuerySet[Any], columns: Sequence[str], text: str) -> QuerySet[Any]:
    """All rows of which a column begins with `text`."""
    conditions = {f"_upper{number}": _folded(column) for number, column in enumerate(columns)}
    wanted = reduce(or_, (Q(**{f"{name}__startswith": _fold(text)}) for name in conditions))
    return rows.alias(**conditions).filter(wanted)


def first_matches(rows: QuerySet[Any], columns: Sequence[str], text: str) -> list[int]:
    """Primary keys of the first matches, column by column; one more than `MOST` where there are more."""
    branches = [_branch(rows, column, text) for column in columns]
    found = branches[0].union(*branches[1:]) if len(branches) > 1 else branches[0]
    return list(found[: MOST + 1])


def prefix_index(table: str, column: str) -> migrations.RunPython:
    """Migration operation: the index that a searched column needs."""
    name = f"{table}_{column}_prefix"

    def create(_apps: Any, schema_editor: Any) -> None:
        expression = f'(upper({column}) COLLATE "C")'
        if schema_editor.connection.vendor != "postgresql":
            expression = f"{column} COLLATE NOCASE"
        schema_editor.execute(f"CREATE INDEX {name} ON {table} ({expression})")

    def drop(_apps: Any, schema_editor: Any) -> None:
        schema_editor.execute(f"DROP INDEX {name}")

    return migrations.RunPython(create, drop)


def _branch(rows: QuerySet[Any], column: str, text: str) -> QuerySet[Any]:
    part = rows.select_related(None).order_by().alias(_upper=_folded(column)).filter(_upper__startswith=_fold(text))
    if not connection.features.supports_slicing_ordering_in_compound:
        return part.values_list("pk", flat=True)
    return part.order_by("_upper").values_list("pk", flat=True)[: MOST + 1]


def _folded(column: str) -> Any:
    """SQLite's LIKE ignores case by itself."""
    return Collate(Upper(column), "C") if connection.vendor == "postgresql" else F(column)


def _fold(text: str) -> str:
    return text.upper() if connection.vendor == "postgresql" else text
