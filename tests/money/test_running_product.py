"""Web, worker and beat as in production, killed at every step of money, and with a Redis that is emptied all the time.

Few orders and few deaths in `make test`, many of them in `make prove` (R1, R2, R5, R7, F01, F02, F03, F06).
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.crashing import POINTS
from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from amp.foundation.services import testclock
from billing.invariants import violations
from billing.models import MoneyEntry, Order, PaymentAttempt, Provider, Refund, SandboxRefund, SandboxTrade
from billing.services.accounts import open_account
from devices.models import Period
from tests import factories
from tests.gateways.process import Gateways, wechat_secret
from tests.journeys.fleets import expired_devices
from tests.money.killing import left_by
from tests.money.running import Customer, is_signed_in, pay_at_sandbox, send_until_answered, sign_in
from tests.services.benches import OPENID
from tests.stack.processes import Product
from tests.stack.redis import Redis
from tests.stack.waiting import eventually

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1_800)]
IS_LARGE = "AMP_MONEY_ORDERS" in os.environ
ORDERS = 60 if IS_LARGE else 8
EVERY = 2.0
"""Seconds between two times that Redis is emptied."""
LEASE = timedelta(seconds=61)
PATIENCE = 6
"""Leases until somebody has to come."""
TROUBLES = ("", "dropped", "twice", "")
DEATHS = {
    "paid and refunded": (
        *("attempt.committed", "attempt.answered", "attempt.stored"),
        *("notice.received", "notice.verified", "notice.settled"),
        *("settle.locked", "settle.marked", "settle.booked", "settle.order_paid", "wakeup.unsent"),
        *("fulfil.claimed", "fulfil.locked", "fulfil.renewed", "fulfil.marked", "fulfil.booked", "fulfil.committed"),
        *("refund.made", "refund.reserved", "refund.approved", "refund.claimed", "refund.answered", "refund.settled"),
        *("refund.succeeded", "refund.booked", "refund.cases_closed"),
        *("refund.shortened", "refund.marked", "refund.committed"),
    ),
    "never told": ("poll.claimed", "poll.answered"),
    "never paid": ("poll.closed", "expire.claimed", "expire.closed"),
    "paid twice": ("settle.case_raised",),
    "refund fails": ("refund.failed", "refund.released"),
}
"""Points that an order comes by in web or worker, by what becomes of it."""
BY_HAND = {"receipt.confirmed", "payout.noted", "payout.confirmed"}
"""Points of bank transfers, which lie in forms of the admin: `test_killed_between_steps` ends processes there."""


@contextmanager
def emptied(redis: Redis) -> Iterator[list[int]]:
    """FLUSHALL all the time; the list says how many keys were lost each time."""
    lost: list[int] = []
    ended = threading.Event()

    def empty() -> None:
        with redis.client() as client:
            while not ended.wait(EVERY):
                lost.append(sum(space["keys"] for space in client.info("keyspace").values()))
                client.flushall()

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        yield lost
    finally:
        ended.set()
        thread.join()


def test_r5_with_a_redis_that_is_emptied_every_two_seconds_each_order_is_renewed_and_refunded_once(
    product_on_test_database: Product, redis_server: Redis
) -> None:
    amp = product_on_test_database
    with system_scope():
        now = clock.now()
        product = factories.make_product(factories.make_enterprise("Maker", now=now), now=now)
        plan = factories.make_plan(product, now=now)
        ids = expired_devices(product, ORDERS * 2, now=now)
        amp.web()
        browser = sign_in(amp, product)
        customer = Customer.of(amp, product, factories.make_member(product.enterprise))
        with emptied(redis_server) as lost:
            amp.worker()
            amp.beat()
            orders = []
            for number in range(ORDERS):
                made = customer.post("/orders", {"devices": ids[2 * number : 2 * number + 2], "plan": plan.pk})
                code = customer.post(f"/orders/{made['id']}/payment")["code"]
                pay_at_sandbox(code, TROUBLES[number % len(TROUBLES)])
                orders.append(made["id"])
            eventually(lambda: _all_are(customer, orders, "FULFILLED"), within=180, every=0.5, what="all fulfilled")
            back = orders[::3]
            for order in back:
                customer.post(f"/orders/{order}/refunds", {"reason": "returned"})
            eventually(lambda: _all_are(customer, back, "REFUNDED"), within=180, every=0.5, what="the refunds")
            eventually(lambda: not Refund.objects.exclude(due_at=None).exists(), within=60, what="the time taken")
        assert len(lost) >= 3
        assert any(lost), "nothing was ever lost: this proves nothing"
        assert is_signed_in(browser, amp)
        assert Counter(Period.objects.values_list("device_id", flat=True)) == Counter(ids)
        assert SandboxTrade.objects.filter(status="PAID").count() == ORDERS
        assert _booked("RECEIVED") == sum(SandboxTrade.objects.values_list("amount", flat=True))
        assert _booked("REFUNDED") == sum(SandboxRefund.objects.values_list("amount", flat=True))
        assert violations() == []
        assert amp.manage("audit", check=False).returncode == 0


def test_every_point_is_come_by_in_the_running_product_or_in_a_form_of_the_admin() -> None:
    assert {point for points in DEATHS.values() for point in points} | BY_HAND == POINTS


@pytest.mark.long
@pytest.mark.parametrize("way", list(DEATHS) if IS_LARGE else list(DEATHS)[:1])
def test_r2_killed_in_web_or_worker_at_any_step_of_money_the_end_is_the_same(
    product_on_test_database: Product, gateways: Gateways, settings: Any, tmp_path: Path, way: str
) -> None:
    """gunicorn's and Celery's children die by kill -9 at each point in turn; their masters bear new ones."""
    amp, wanted = product_on_test_database, tmp_path / "wanted"
    settings.BASE_URL = amp.url
    amp.environment |= {
        "AMP_CRASH_FILE": str(wanted),
        "AMP_REFUND_THRESHOLD": "100",
        "WECHAT_GATEWAY_URL": gateways.url,
    }
    with system_scope():
        now = clock.now()
        product = factories.make_product(
            factories.make_enterprise("Maker", now=now), now=now, renewal_before_trial_end=True
        )
        plan = factories.make_plan(product, now=now)
        open_account(merchant=plan.merchant, provider=Provider.WECHAT, secret=wechat_secret(), actor="test", now=now)
        clerk, chief = (
            Customer.of(amp, product, factories.make_member(product.enterprise, Role.ENTERPRISE_ADMINISTRATOR))
            for _ in range(2)
        )
        amp.web()
        amp.worker()
        amp.beat()
        whole = _shape(_live(clerk, chief, gateways, plan, way, "whole"))
        for point in DEATHS[way] if IS_LARGE else ("notice.settled", "fulfil.marked", "refund.answered"):
            wanted.write_text(point)
            left = _live(clerk, chief, gateways, plan, way, point)
            assert not wanted.exists(), f"nobody came by {point}"
            assert _shape(left) == whole, point
        assert violations() == []
        eventually(lambda: amp.manage("audit", check=False).returncode == 0, every=2, what="the audit")


def _live(clerk: Customer, chief: Customer, gateways: Gateways, plan: Any, way: str, name: str) -> dict[str, Any]:
    """An order over HTTP, and what web and worker make of it; what it left."""
    ids = [_new_device(plan, f"{name.replace('.', '-')}-{number}") for number in range(2)]
    order = clerk.post("/orders", {"devices": ids, "plan": plan.pk})["id"]
    code = eventually(lambda: clerk.post(f"/orders/{order}/payment")["code"], every=1, what="a code")
    if way == "never paid":
        testclock.advance(timedelta(minutes=31), wall=clock.wall())
        _until(lambda: Order.objects.get(pk=order).status == "EXPIRED", "expired")
        return left_by(ids, gateways)
    for fault in ("", "second_payment") if way == "paid twice" else ("dropped" if way == "never told" else "",):
        gateways.pay(code, payer=OPENID, fault=fault)
        for sent in gateways.notices():
            send_until_answered(sent)
    _until(lambda: Order.objects.get(pk=order).status == "FULFILLED", "fulfilled")
    if way in {"paid and refunded", "refund fails"}:
        _refund(clerk, chief, gateways, order, "FAILED" if way == "refund fails" else "SUCCEEDED")
    return left_by(ids, gateways)


def _new_device(plan: Any, key: str) -> int:
    """One that is bought before its trial (A12)."""
    return int(factories.make_device(plan.level.standard_of, key=key, now=clock.now()).device.pk)


def _refund(clerk: Customer, chief: Customer, gateways: Gateways, order: int, ending: str) -> None:
    """In part, by two people."""
    if ending == "FAILED":
        number = PaymentAttempt.objects.get(order=order).number
        gateways.say("refunds", course="failed", number=number)
    refund = clerk.post(f"/orders/{order}/refunds", {"amount": 10_000, "reason": "returned"})["id"]
    chief.post(f"/refunds/{refund}/approve")
    _until(lambda: Refund.objects.filter(pk=refund, status=ending, due_at=None).exists(), f"refund {ending}")


def _until(true: Callable[[], bool], what: str) -> None:
    """Wait; where it takes long somebody has died, and nobody waits for the lease of the dead."""
    for _lease in range(PATIENCE):
        with suppress(AssertionError):
            eventually(true, within=8, what=what)
            return
        testclock.advance(LEASE, wall=clock.wall())
    eventually(true, what=what)


def _shape(left: dict[str, Any]) -> dict[str, Any]:
    """What doesn't hang on the moment at which it happened; ends are held against their own starts."""
    lengths = [(number, (ends - starts).days // 360) for number, starts, ends in left["periods"]]
    cuts = [round((before - after).total_seconds() / 3_600) for before, after in left["cuts"]]
    lines = [line[:-1] for line in left["lines"]]
    attempts = [(*each[:4], each[5]) for each in left["attempts"]]
    services = [(each[0], each[1], each[3]) for each in left["services"]]
    refund_lines = [(each[0], each[1], round((each[3] or 0) / 3_600)) for each in left["refund lines"]]
    order = (left["order"][0], left["order"][1])
    commands = [each[:2] for each in left["commands"]]
    changed = {"periods": lengths, "cuts": cuts, "lines": lines, "attempts": attempts, "services": services}
    return left | changed | {"refund lines": refund_lines, "order": order, "commands": commands}


def _all_are(customer: Customer, orders: list[int], status: str) -> bool:
    return all(customer.get(f"/orders/{order}")["status"] == status for order in orders)


def _booked(kind: str) -> int:
    return sum(MoneyEntry.objects.filter(kind=kind).values_list("amount", flat=True))
