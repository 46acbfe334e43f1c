"""Refunds through every provider's own wire, or by two people: done, later, failed, unanswered, repeated (F44, F45).

After each test our ledger and the gateway's own books agree on what went back, and the invariants of billing hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from billing.models import BankPayout, MerchantAccount, MoneyEntry, Order, PaymentAttempt, Refund, SandboxRefund
from billing.providers.protocol import RefundState
from billing.services.accounts import gateway_of
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.offline import confirm_payout, record_payout
from billing.services.refund_work import work_refunds
from billing.services.sandbox import choose_refund_trouble
from billing.services.sandbox_refunds import RefundTrouble
from tests.gateways.books import Course, Fault
from tests.gateways.process import gateway_process, gateways
from tests.services.benches import CALLED, KINDS, Bench, RealBench, SandboxBench, bench_of, deliver
from tests.services.gateway import books_in_order, shop, wire
from tests.services.refunding import ANN, BOB, HALF, ends, refund_of
from tests.services.shop import NOW, Shop, money

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]
END = NOW.replace(year=2027)
SECOND = timedelta(seconds=1)


class Counter(NamedTuple):
    """A shop with one paid order, and the gateway that took its money."""

    bench: Bench
    shop: Shop
    account: MerchantAccount
    attempt: PaymentAttempt
    refund: Refund

    def work(self, later: timedelta = timedelta()) -> Refund:
        """The worker does all that is due so long after half the period; the refund as it stands then."""
        now, wall = self.bench.at(HALF + later)
        for _ in range(20):
            if not work_refunds(now=now, wall=wall):
                return Refund.objects.get(pk=self.refund.pk)
        raise AssertionError("The worker finds no end.")

    def take(self, course: Course) -> None:
        """Refunds go so at the gateway from now on."""
        if isinstance(self.bench, RealBench):
            self.bench.gateways.say("refunds", course=course)
            return
        trouble = {Course.PROCESSING: RefundTrouble.LATER, Course.FAILED: RefundTrouble.FAIL}
        if course in trouble:  # which ends by itself at the second question
            signed = self.attempt.code.rsplit("/", 1)[1]
            choose_refund_trouble(signed=signed, trouble=trouble[course], now=NOW)

    def lose_the_answer(self) -> None:
        """The gateway pays back, and nobody hears of it."""
        if isinstance(self.bench, RealBench):
            self.bench.gateways.say("fail", fault=Fault.LOST_ANSWER, verb="refund")
        elif isinstance(self.bench, SandboxBench):
            self.bench.wire.lost_answers = ("gateway/refund",)

    def people_pay(self) -> None:
        """Two people pay a bank transfer back; elsewhere nobody has to."""
        now, _wall = self.bench.at(HALF)
        for payout in BankPayout.objects.filter(confirmed_at=None):
            confirm_payout(payout=record_payout(payout=payout, reference="OUT-1", by=ANN, now=now), by=BOB, now=now)

    def paid_back(self) -> int:
        """What has gone back by the gateway's own books."""
        if isinstance(self.bench, RealBench):
            return sum(trade["refunded"] for trade in self.bench.gateways.books())
        if isinstance(self.bench, SandboxBench):
            return sum(SandboxRefund.objects.filter(status="SUCCEEDED").values_list("amount", flat=True))
        return sum(BankPayout.objects.filter(confirmed_at__isnull=False).values_list("amount", flat=True))


def _open(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Counter]:
    bench = bench_of(request.param, request)
    account = bench.open(shop)
    attempt = shop.attempt(provider_account=account)
    assert bench.pay(account, attempt.code)
    deliver(bench.notices())
    fulfil_paid_orders(now=NOW)
    order = Order.objects.get(pk=attempt.order_id)
    counter = Counter(bench, shop, account, attempt, refund_of(order))
    yield counter
    booked = sum(MoneyEntry.objects.filter(kind="REFUNDED").values_list("amount", flat=True))
    assert booked == counter.paid_back()


@pytest.fixture(params=KINDS)
def counter(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Counter]:
    yield from _open(request, shop)


@pytest.fixture(params=CALLED)
def called(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Counter]:
    """A gateway that can fail, and whose answers can be lost; people can neither."""
    yield from _open(request, shop)


def assert_done(counter: Counter, refund: Refund) -> None:
    assert refund.status == "SUCCEEDED"
    assert counter.paid_back() == refund.amount == 19_900
    assert money(counter.attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900, "REFUNDED": 19_900}
    assert ends(counter.shop) != [END]


def test_a_refund_that_succeeds_is_booked_once_and_takes_the_time_F44(counter: Counter) -> None:
    refund = counter.work()
    if counter.bench.kind == "offline":
        assert (refund.status, counter.paid_back()) == ("PROCESSING", 0)
        counter.people_pay()
    refund = counter.work(5 * SECOND)  # WeChat Pay never says "done" before it is asked
    assert_done(counter, refund)
    counter.work(timedelta(days=1))
    assert_done(counter, refund)


def test_a_refund_that_is_accepted_counts_only_once_it_has_succeeded(called: Counter) -> None:
    called.take(Course.PROCESSING)
    for later in (timedelta(), 5 * SECOND):
        assert called.work(later).status == "PROCESSING"
        assert money(called.attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
        assert ends(called.shop) == [END]
    called.take(Course.DONE)
    assert_done(called, called.work(30 * SECOND))


def test_a_refund_that_fails_gives_nothing_back_and_takes_no_time(called: Counter) -> None:
    called.take(Course.FAILED)
    for later in (timedelta(), 5 * SECOND, 30 * SECOND):
        refund = called.work(later)
    assert (refund.status, bool(refund.problem)) == ("FAILED", True)
    assert PaymentAttempt.objects.get(pk=called.attempt.pk).refunded == 0
    assert money(called.attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
    assert ends(called.shop) == [END]


def test_a_refund_whose_answer_is_lost_pays_back_once_F45(called: Counter) -> None:
    called.lose_the_answer()
    assert called.work().status == "PROCESSING"
    assert called.paid_back() == 19_900
    assert money(called.attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
    called.bench.wire.lost_answers = ()  # type: ignore[attr-defined]
    assert_done(called, called.work(5 * SECOND))


def test_the_same_refund_number_twice_pays_back_once_F44_R2(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("billing.services.refund_work.settle_refund", _killed)
        now, wall = counter.bench.at(HALF)
        with pytest.raises(KeyboardInterrupt):
            work_refunds(now=now, wall=wall)
    refund = Refund.objects.get(pk=counter.refund.pk)
    facts = gateway_of(counter.account).refund(
        counter.attempt.number, refund_number=refund.number, amount=refund.amount, wall=wall
    )
    assert facts.state in {RefundState.SUCCEEDED, RefundState.PROCESSING}
    counter.people_pay()
    assert_done(counter, counter.work(timedelta(minutes=2)))


def _killed(**_: Any) -> None:
    raise KeyboardInterrupt
