"""1,000 orders under every fault that gateways are known for, and no minor unit astray (R1, R2, F24–F31, F44, F45).

`AMP_MONEY_ORDERS` says how many; `make test` plays each story at two sellers at most, `make prove` 1,000 orders.
"""

from __future__ import annotations

import os

import pytest

from tests.money.balance import problems
from tests.money.day import Day

ORDERS = int(os.environ.get("AMP_MONEY_ORDERS", 40))


@pytest.mark.timeout(1_800)
def test_r1_r2_every_minor_unit_is_where_the_gateways_books_say(day: Day) -> None:
    day.run(ORDERS, seed=20260301)
    found = problems(day)
    assert not found, "\n".join(found)
    assert len(day.buyers) >= ORDERS
