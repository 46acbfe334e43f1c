"""Each row of the settle table, for every provider: by its notices and by asking it, through the real services (R1).

After each test our ledger holds what the gateway's own books say came in, and the invariants of billing hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from billing.models import MerchantAccount, MoneyEntry, Order, PaymentAttempt, PaymentException
from billing.services.accounts import gateway_of
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.polling import expire_due_orders, poll_due_attempts, refresh_attempt
from tests.gateways.books import Fault
from tests.gateways.process import gateway_process, gateways
from tests.services.benches import CALLED, KINDS, REAL, Bench, bench_of, deliver
from tests.services.gateway import books_in_order, refusals, shop, status_of, wire
from tests.services.offline_bench import OfflineBench
from tests.services.shop import MINUTE, NOW, Shop, kinds, money, paid_periods

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]
SECOND, LATE, PAID = timedelta(seconds=1), timedelta(minutes=40), ("PAID", "PAID")


class Table(NamedTuple):
    """A shop that is paid through one provider."""

    bench: Bench
    shop: Shop
    account: MerchantAccount

    def attempt(self, order: Order | None = None, **changes: Any) -> PaymentAttempt:
        """A payment that waits."""
        return self.shop.attempt(order, provider_account=self.account, **changes)

    def pay(self, attempt: PaymentAttempt, fault: str = "") -> None:
        """The payer pays; the notice waits at the gateway."""
        assert self.bench.pay(self.account, attempt.code, fault)

    def tell(self) -> list[tuple[int, bytes]]:
        """The gateway's notices reach us; of a bank transfer, the second person's word."""
        if isinstance(self.bench, OfflineBench):
            return [self.success] * self.bench.confirm()
        return deliver(self.bench.notices())

    def ask(self, later: timedelta) -> int:
        """We ask the gateway, so much later."""
        now, wall = self.bench.at(later)
        return poll_due_attempts(now=now, wall=wall)

    @property
    def success(self) -> tuple[int, bytes]:
        """The answer that ends a notice's repeats."""
        ack = gateway_of(self.account).ack()
        return ack.status, ack.body


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Table]:
    yield from _set(request, shop)


@pytest.fixture(params=CALLED)
def called(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Table]:
    yield from _set(request, shop)


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Table]:
    """What the sandbox has no such thing of: probes, calls that make a code, a merchant's own number."""
    yield from _set(request, shop)


def _set(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Table]:
    bench = bench_of(request.param, request)
    if isinstance(bench, OfflineBench):
        bench.waits = True
    yield Table(bench, shop, bench.open(shop))
    booked = sum(MoneyEntry.objects.filter(kind="RECEIVED").values_list("amount", flat=True))
    assert booked == bench.received()


@pytest.fixture(params=["notice", "poll"])
def learn(request: pytest.FixtureRequest) -> Any:
    """How we come to know: by a notice, or, where all notices are lost, by the poll."""

    def tell(table: Table, later: timedelta = 10 * SECOND) -> None:
        if request.param == "notice" or table.bench.kind == "offline":  # no bank is asked: people tell
            table.bench.at(later)
            assert table.tell() == [table.success]
        else:
            table.bench.notices()
            assert table.ask(later) >= 1

    tell.name = request.param  # type: ignore[attr-defined]
    return tell


def test_paid_with_the_right_amount_pays_the_order_and_each_line_is_fulfilled_once(table: Table, learn: Any) -> None:
    attempt = table.attempt()
    table.pay(attempt)
    learn(table)
    assert status_of(attempt) == PAID
    fulfil_paid_orders(now=NOW + MINUTE)
    assert fulfil_paid_orders(now=NOW + timedelta(hours=1)) == 0
    assert paid_periods(table.shop) == 1
    assert money(attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
    assert refusals() == []


def test_the_same_notice_again_and_a_poll_beside_it_change_nothing_F24_F25(called: Table) -> None:
    attempt = called.attempt()
    called.pay(attempt, Fault.DUPLICATE)
    now, wall = called.bench.at(5 * SECOND)
    sent = called.bench.notices()
    assert deliver(sent[:1]) == [called.success]
    refresh_attempt(attempt=attempt, now=now, wall=wall)
    assert deliver(sent) == [called.success] * 2
    assert called.ask(10 * SECOND) == 0, "what is paid is asked about no more"
    assert status_of(attempt) == PAID
    assert money(attempt.order) == {"RECEIVED": 19_900}
    assert kinds(f"order:{attempt.order_id}").count("order.paid") == 1


def test_one_fen_too_little_fulfils_nothing_and_goes_to_staff_F30(table: Table, learn: Any) -> None:
    attempt = table.attempt()
    table.pay(attempt, Fault.WRONG_AMOUNT)
    learn(table)
    assert status_of(attempt) == ("PENDING", "PAID")
    assert fulfil_paid_orders(now=NOW + MINUTE) == 0
    assert paid_periods(table.shop) == 0
    assert money(attempt.order) == {"RECEIVED": 19_899, "UNAPPLIED": 19_899}
    case = PaymentException.objects.get()
    assert (case.kind, case.amount, case.currency) == ("AMOUNT_MISMATCH", 19_899, "CNY")


def test_paid_to_another_merchant_fulfils_nothing_and_goes_to_staff_F29(called: Table) -> None:
    attempt = called.attempt()
    called.pay(attempt, Fault.WRONG_MERCHANT)
    assert called.tell() == [called.success]
    assert status_of(attempt) == ("PENDING", "PAID")
    assert money(attempt.order) == {"RECEIVED": 19_900, "UNAPPLIED": 19_900}
    assert PaymentException.objects.get().kind == "MERCHANT_MISMATCH"


def test_paid_after_the_order_expired_is_honoured_and_flagged_F27(table: Table, learn: Any) -> None:
    attempt = table.attempt()
    table.pay(attempt, Fault.LATE)  # in time, but nobody tells, and the gateway is silent when it is asked
    stored = PaymentAttempt.objects.filter(pk=attempt.pk)
    stored.update(due_at=None)
    Order.objects.filter(pk=attempt.order_id).update(status="EXPIRED", closed_at=NOW + 30 * MINUTE, due_at=None)
    stored.update(due_at=NOW + LATE)
    table.bench.at(timedelta(minutes=61))
    if table.bench.kind == "sandbox" or (learn.name == "poll" and table.bench.kind != "offline"):
        table.ask(timedelta(minutes=61))
    else:
        assert table.tell() == [table.success]
    assert status_of(attempt) == PAID
    fulfil_paid_orders(now=NOW + timedelta(minutes=62))
    assert paid_periods(table.shop) == 1
    assert [case.kind for case in PaymentException.objects.all()] == ["LATE"]


def test_a_second_code_that_is_paid_too_changes_no_order_and_is_to_be_paid_back_F31(table: Table, learn: Any) -> None:
    order = table.shop.order()
    first = table.attempt(order)
    second = table.attempt(order, new_code=True)
    table.pay(first)
    learn(table, SECOND)
    assert status_of(first) == PAID
    table.pay(second)
    learn(table, 10 * SECOND)
    assert status_of(second) == PAID
    assert money(order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    case = PaymentException.objects.get()
    assert (case.kind, case.attempt_id) == ("SECOND_PAYMENT", second.pk)
    fulfil_paid_orders(now=NOW + MINUTE)
    assert paid_periods(table.shop) == 1


def test_one_code_that_is_paid_twice_is_one_payment_and_one_to_be_paid_back_F31(real: Table) -> None:
    attempt = real.attempt()
    real.pay(attempt)
    real.pay(attempt, Fault.SECOND_PAYMENT)
    assert real.tell() == [real.success] * 2
    assert status_of(attempt) == PAID
    assert money(attempt.order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    assert PaymentException.objects.get().kind == "SECOND_PAYMENT"


def test_not_paid_after_paid_is_stale_and_ignored(table: Table) -> None:
    attempt = table.attempt()
    table.pay(attempt)
    assert table.tell() == [table.success]
    if table.bench.kind in REAL:
        table.bench.gateways.say("fail", fault="stale", verb="query")  # type: ignore[attr-defined]
    PaymentAttempt.objects.filter(pk=attempt.pk).update(due_at=NOW)
    assert table.ask(10 * SECOND) == 1
    assert status_of(attempt) == PAID
    assert money(attempt.order) == {"RECEIVED": 19_900}


@pytest.mark.parametrize("fault", [Fault.FORGED, Fault.FOREIGN_KEY])
def test_what_the_gateway_did_not_sign_for_this_account_changes_nothing_F28_F29(called: Table, fault: Fault) -> None:
    attempt = called.attempt()
    called.pay(attempt, fault)
    assert called.tell() == [(401, b"refused")]
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert money(attempt.order) == {}
    assert len(refusals()) == 1


def test_a_probe_is_refused_and_its_payment_is_found_all_the_same_F28(real: Table) -> None:
    attempt = real.attempt()
    real.pay(attempt, Fault.PROBE)
    assert real.tell() == [(401, b"refused")]
    assert (status_of(attempt), len(refusals())) == (("PENDING", "PENDING"), 1)
    assert real.ask(10 * SECOND) == 1
    assert status_of(attempt) == PAID


def test_a_notice_at_an_unknown_account_or_about_somebody_elses_payment_changes_nothing_F29(called: Table) -> None:
    attempt = called.attempt()
    called.pay(attempt)
    (sent,) = called.bench.notices()
    unknown = sent._replace(url=sent.url.rsplit("/", 1)[0] + f"/{uuid.uuid4()}")
    assert deliver([unknown]) == [(404, b"refused")]
    PaymentAttempt.objects.filter(pk=attempt.pk).update(number="SOMEBODYELSES001")
    assert deliver([sent]) == [(403, b"refused")]
    assert (status_of(attempt), len(refusals())) == (("PENDING", "PENDING"), 2)
    PaymentAttempt.objects.filter(pk=attempt.pk).update(number=attempt.number)
    assert deliver([sent]) == [called.success]


def test_a_notice_that_is_replayed_much_later_changes_nothing_F28(called: Table) -> None:
    attempt = called.attempt()
    called.pay(attempt)
    sent = called.bench.notices()
    assert deliver(sent) == [called.success]
    called.bench.at(6 * MINUTE)
    expected = called.success if called.account.provider == "alipay" else (401, b"refused")
    assert deliver(sent) == [expected]
    assert money(attempt.order) == {"RECEIVED": 19_900}


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_a_timeout_on_create_is_unknown_then_asked_and_repeated_byte_for_byte_F45(real: Table, fault: Fault) -> None:
    real.bench.fail(fault)
    attempt = real.attempt()
    assert (attempt.status, attempt.code) == ("UNKNOWN", "")
    assert real.ask(10 * SECOND) == 1
    attempt.refresh_from_db()
    assert attempt.status == "PENDING"
    real.pay(attempt)  # the simulator refuses a second request that differs from the first
    assert real.tell() == [real.success]
    assert status_of(attempt) == PAID
    assert PaymentAttempt.objects.count() == len(real.bench.gateways.books()) == 1  # type: ignore[attr-defined]


def test_our_own_crash_leaves_nothing_behind_and_the_gateway_comes_again(
    called: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = called.attempt()
    called.pay(attempt)
    sent = called.bench.notices()
    with monkeypatch.context() as patch:
        patch.setattr("billing.services.settlement._mark_order_paid", lambda *_: 1 / 0)
        assert [status for status, _ in deliver(sent)] == [500]
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert money(attempt.order) == {}
    assert deliver(sent) == [called.success]
    assert status_of(attempt) == PAID


def test_an_unpaid_order_is_closed_at_the_gateway_before_it_expires(called: Table) -> None:
    attempt = called.attempt()
    if called.bench.kind != "sandbox":
        called.bench.gateways.say("scan", code=attempt.code)  # type: ignore[attr-defined]
    now, wall = called.bench.at(31 * MINUTE)
    assert expire_due_orders(now=now, wall=wall) == 1
    assert status_of(attempt) == ("EXPIRED", "CLOSED")
    assert not called.bench.pay(called.account, attempt.code)


def test_without_the_merchants_number_in_the_facts_money_for_others_would_pay_F29(
    real: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it is the merchant's number that stops the order, not some other field."""
    module = "WeChatProvider" if real.account.provider == "wechat" else "AlipayProvider"
    ours = real.account.merchant.merchant_id
    monkeypatch.setattr(f"billing.providers.{real.account.provider}.{module}._merchant", lambda *_: ours)
    attempt = real.attempt()
    real.pay(attempt, Fault.WRONG_MERCHANT)
    assert real.tell() == [real.success]
    assert status_of(attempt) == PAID
