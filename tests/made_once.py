"""A world that is made once for a file of tests, each of which rolls its own changes back.

Making two enterprises with products, plans and people takes longer than most of what is then asked of them. A fixture
of module scope makes them `within` one transaction; a test that needs rows gets copies of its own. Tests that commit
(`transaction=True`) can't share it: they have a file of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction

Row = TypeVar("Row")


@contextmanager
def within_one_transaction(django_db_blocker: Any) -> Iterator[None]:
    """Rows made in here are gone afterwards; "durable" blocks may lie within, as in a test of Django's own."""
    with django_db_blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]
        with around:
            yield
            transaction.set_rollback(True)


def own(row: Row) -> Row:
    """A copy that a test may change without the next one seeing it."""
    return copy.deepcopy(row)
