"""How many rows a list has: exact up to 10,000, beyond that as the planner estimates; never a count of everything."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import ngettext

EXACT = 10_000


class Count(NamedTuple):
    """A number of rows, exact or estimated."""

    number: int
    is_exact: bool = True
    is_least: bool = False

    @property
    def text(self) -> str:
        """ "87 rows", "about 1,204,000 rows", "more than 10,000 rows"."""
        if self.is_least:
            return ngettext("more than %(n)s row", "more than %(n)s rows", self.number) % {"n": f"{self.number:,}"}
        if self.is_exact:
            return ngettext("%(n)s row", "%(n)s rows", self.number) % {"n": f"{self.number:,}"}
        return ngettext("about %(n)s row", "about %(n)s rows", self.number) % {"n": f"{self.number:,}"}


def count_rows(rows: QuerySet[Any]) -> Count:
    """Two queries at most, neither of which reads more than 10,001 rows that match."""
    rows = rows.select_related(None).order_by()
    estimate = _estimate(rows)
    if estimate is not None and estimate > 2 * EXACT:
        return Count(_rounded(estimate), is_exact=False)
    found = rows.values("pk")[: EXACT + 1].count()
    if found <= EXACT:
        return Count(found)
    if estimate is None or estimate <= found:
        return Count(EXACT, is_exact=False, is_least=True)
    return Count(_rounded(estimate), is_exact=False)


def _estimate(rows: QuerySet[Any]) -> int | None:
    """What PostgreSQL expects; None on SQLite, whose planner doesn't say."""
    if connection.vendor != "postgresql":
        return None
    try:
        plan = rows.values("pk").explain(format="json")
    except EmptyResultSet:
        plan = ""
    if not plan:  # a filter that can't match: Django doesn't even ask
        return 0
    return int(json.loads(plan)[0]["Plan"]["Plan Rows"])


def _rounded(number: int) -> int:
    """Four digits that mean something."""
    step = 10 ** max(0, len(str(number)) - 4)
    return round(number / step) * step
