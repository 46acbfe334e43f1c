"""kill -9 between any two steps of paying, settling, fulfilling and refunding: the end is the same (R1, R2, F01, F45).

`make test` dies once at each point, `make prove` at each point of each life.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from amp.foundation.crashing import POINTS
from amp.foundation.scoping import system_scope
from billing.invariants import violations
from tests.gateways.process import Gateways
from tests.money.killing import Killer, Lived
from tests.money.lives import LIVES
from tests.money.tills import open_tills
from tests.money.zygote import Zygote
from tests.services.refunding import device_trouble
from tests.services.shop import NOW, Loopback
from tests.stack.processes import REPOSITORY

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
EVERY_LIFE = "AMP_MONEY_ORDERS" in os.environ
IN_CODE = re.compile(r'crash_point\("([^"]*)"\)')
APPS = ("amp", "catalog", "devices", "billing", "alerts")


@pytest.fixture
def killer(
    transactional_db: None, gateways: Gateways, wire: Loopback, tmp_path: Path, settings: object
) -> Iterator[Killer]:
    given = connection.settings_dict
    environment = {
        "DATABASE_URL": f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}",
        "WECHAT_GATEWAY_URL": gateways.url,
        "ALIPAY_GATEWAY_URL": f"{gateways.url}/gateway.do",
        "AMP_REFUND_THRESHOLD": "100",
    }
    zygote = Zygote.started(tmp_path, environment)
    try:
        with system_scope():
            killer = Killer(gateways, zygote, open_tills(gateways, wire))
            yield killer
            assert bool(violations()) is killer.leaves_debts
            assert device_trouble(NOW) == []
    finally:
        zygote.stop()


def test_the_registry_names_every_point_of_the_product_once() -> None:
    found = [
        name for app in APPS for path in (REPOSITORY / app).rglob("*.py") for name in IN_CODE.findall(path.read_text())
    ]
    assert sorted(found) == sorted(POINTS)


def test_r2_whatever_dies_between_two_steps_the_end_is_the_same(killer: Killer) -> None:
    whole = {name: killer.live(name) for name in LIVES}
    assert set().union(*(lived.points for lived in whole.values())) == POINTS, "a point that no life comes by"
    for life, point in _deaths(whole):
        lived = killer.live(life, dies_at=point)
        assert lived.deaths == 1, (life, point)
        assert lived.left == whole[life].left, (life, point)


def _deaths(whole: dict[str, Lived]) -> Iterator[tuple[str, str]]:
    """Lives and the points at which they are ended: each point in each life, or in the first that comes by it."""
    died: set[str] = set()
    for life, lived in whole.items():
        for point in dict.fromkeys(lived.points):
            if EVERY_LIFE or point not in died:
                died.add(point)
                yield life, point


@pytest.mark.parametrize(
    ("defect", "life", "point"),
    [
        ("settling in pieces", "paid", "settle.booked"),
        ("fulfilling in pieces", "found by the poll", "fulfil.marked"),
        ("refunds under a new number", "refunded", "refund.answered"),
    ],
)
def test_without_one_transaction_or_one_number_a_death_costs_somebody(
    killer: Killer, defect: str, life: str, point: str
) -> None:
    """Negative control: what keeps the end the same, taken away."""
    whole, lived = killer.live(life), killer.live(life, dies_at=point, defect=defect)
    assert lived.deaths == 1
    assert lived.left != whole.left
    killer.leaves_debts = defect != "refunds under a new number"  # those only the gateway sees
