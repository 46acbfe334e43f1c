"""What no notice told is asked for, and an order ends only after query, close, query (F26, F27, Q2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation.scoping import enterprise_scope
from billing.models import PaymentAttempt, PaymentException, SandboxTrade
from billing.orders import LATE_CHECKS, AttemptStatus, GatewayState, OrderStatus
from billing.providers.sandbox import SandboxProvider
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import cancel_order
from billing.services.polling import LEASE, expire_due_orders, poll_due_attempts, refresh_attempt
from billing.services.sandbox import Trouble, pay
from billing.services.sandbox_refunds import PayRefused
from tests.services.gateway import books_in_order, shop, status_of, wire
from tests.services.shop import ACTOR, MINUTE, Loopback, Shop, kinds, money, paid_periods

__all__ = ["books_in_order", "shop", "wire"]

SECOND = timedelta(seconds=1)


def press(attempt: PaymentAttempt, wire: Loopback, trouble: Trouble = Trouble.NONE) -> None:
    """The payer pays now."""
    pay(signed=attempt.code.rsplit("/", 1)[1], trouble=trouble, now=wire.now, wall=wire.wall)


def poll(wire: Loopback, later: timedelta) -> int:
    """One sweep, so much later."""
    now, wall = wire.at(later)
    return poll_due_attempts(now=now, wall=wall)


def expire(wire: Loopback, later: timedelta) -> int:
    """One sweep over orders, so much later."""
    now, wall = wire.at(later)
    return expire_due_orders(now=now, wall=wall)


def test_a_payment_whose_notice_was_lost_is_found_by_the_poll_F26(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    press(attempt, wire, Trouble.DROPPED)
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert poll(wire, 9 * SECOND) == 0
    assert poll(wire, 10 * SECOND) == 1
    assert status_of(attempt) == ("PAID", "PAID")
    assert poll(wire, timedelta(days=1)) == 0, "what is paid is asked about no more"


def test_queries_follow_the_plan_and_a_trade_nobody_opened_is_no_news(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    for later, following in [(10, 30), (30, 60), (60, 120), (120, 300), (300, 600)]:
        assert poll(wire, later * SECOND) == 1
        attempt.refresh_from_db()
        assert (attempt.due_at, attempt.status) == (wire.now + (following - later) * SECOND, "PENDING")
    assert attempt.queries == 5
    assert not SandboxTrade.objects.exists()


def test_a_silent_gateway_costs_one_timeout_and_nothing_else(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = [shop.attempt() for _ in range(4)]
    wire.lost_requests = ("/sandbox/gateway/",)
    assert poll(wire, 10 * SECOND) == 4
    assert len(wire.paths) == 1
    assert {status_of(attempt) for attempt in attempts} == {("PENDING", "PENDING")}
    wire.lost_requests = ()
    assert poll(wire, 10 * SECOND + LEASE) == 4


def test_two_workers_never_ask_about_the_same_attempt_at_once(shop: Shop, wire: Loopback) -> None:
    shop.attempt()
    asked = SandboxProvider.query
    inner: list[int] = []

    def query(self: SandboxProvider, number: str, *, wall: Any) -> Any:
        inner.append(poll_due_attempts(now=wire.now, wall=wire.wall))
        return asked(self, number, wall=wall)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxProvider, "query", query)
        assert poll(wire, 10 * SECOND) == 1
    assert inner == [0]


def test_an_unpaid_order_expires_after_query_close_query_Q2(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert expire(wire, 30 * MINUTE - SECOND) == 0
    assert expire(wire, 33 * MINUTE) == 1
    assert status_of(attempt) == ("EXPIRED", "CLOSED")
    assert [path.rsplit("/", 1)[1] for path in wire.paths] == ["query", "close", "query"]
    assert kinds(f"order:{attempt.order_id}") == ["order.created", "order.expired"]
    with pytest.raises(PayRefused, match="has ended"):
        press(attempt, wire)


def test_an_order_that_was_paid_without_a_notice_is_paid_not_expired(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.at(29 * MINUTE)
    press(attempt, wire, Trouble.DROPPED)
    expire(wire, 30 * MINUTE)
    assert status_of(attempt) == ("PAID", "PAID")
    assert not PaymentException.objects.exists()


def test_a_payment_between_query_and_close_is_seen_by_the_second_query(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = shop.attempt()
    closing = SandboxProvider.close

    def close(self: SandboxProvider, number: str, *, wall: Any) -> Any:
        press(attempt, wire, Trouble.LATE)
        SandboxTrade.objects.update(notify_due_at=None)
        return closing(self, number, wall=wall)

    wire.lost_requests = ("/pay/notify/",)
    monkeypatch.setattr(SandboxProvider, "close", close)
    expire(wire, 30 * MINUTE)
    assert status_of(attempt) == ("PAID", "PAID")


def test_an_order_does_not_expire_while_its_gateway_is_silent_but_not_for_ever(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/sandbox/gateway/",)
    expire(wire, 31 * MINUTE)
    assert status_of(attempt)[0] == OrderStatus.PENDING.value
    expire(wire, 91 * MINUTE)
    assert status_of(attempt)[0] == OrderStatus.EXPIRED.value


def test_an_order_without_any_attempt_simply_expires(shop: Shop, wire: Loopback) -> None:
    order = shop.order()
    expire(wire, 30 * MINUTE)
    order.refresh_from_db()
    assert (order.status, order.due_at, wire.paths) == ("EXPIRED", None, [])


@pytest.mark.parametrize("late", LATE_CHECKS)
def test_each_late_check_finds_a_payment_that_came_after_the_end_F27(
    shop: Shop, wire: Loopback, late: timedelta
) -> None:
    attempt = shop.attempt()
    expire(wire, 30 * MINUTE)
    for earlier in LATE_CHECKS:
        if earlier < late:
            poll(wire, 30 * MINUTE + earlier)
    wire.at(30 * MINUTE + late - SECOND)
    _pay_silently(attempt, wire)
    assert status_of(attempt) == ("EXPIRED", "CLOSED")
    assert poll(wire, 30 * MINUTE + late) == 1
    assert status_of(attempt) == ("PAID", "PAID")
    fulfil_paid_orders(now=wire.now)
    assert paid_periods(shop) == 1
    assert PaymentException.objects.get().kind == "LATE"


def test_a_last_late_check_that_nobody_answered_is_made_again_R1(shop: Shop, wire: Loopback) -> None:
    """After an outage that was longer than all checks only one question is left, and its answer may be lost."""
    attempt = shop.attempt()
    press(attempt, wire, Trouble.DROPPED)
    last = 30 * MINUTE + LATE_CHECKS[-1] + MINUTE
    wire.lost_answers = ("query",)
    poll(wire, last)
    wire.lost_answers = ()
    assert poll(wire, last + 61 * MINUTE) == 1
    assert status_of(attempt)[1] == "PAID"


def test_after_the_last_late_check_nobody_asks_any_more(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    expire(wire, 30 * MINUTE)
    poll(wire, 30 * MINUTE + LATE_CHECKS[-1])
    attempt.refresh_from_db()
    assert attempt.due_at is None


def test_the_codes_of_a_cancelled_order_are_closed_by_the_next_poll(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    cancel_order(order=attempt.order, actor=ACTOR, now=wire.now)
    assert poll(wire, SECOND) == 1
    assert status_of(attempt) == ("CANCELLED", "CLOSED")
    assert SandboxTrade.objects.get().status == GatewayState.CLOSED.value


def test_an_older_code_is_closed_once_a_newer_one_is_shown(shop: Shop, wire: Loopback) -> None:
    order = shop.order()
    old, new = shop.attempt(order), shop.attempt(order, new_code=True)
    poll(wire, SECOND)
    assert status_of(old) == ("PENDING", "CLOSED")
    assert status_of(new) == ("PENDING", "PENDING")


@pytest.mark.parametrize("trouble", [Trouble.NONE, Trouble.DROPPED])
def test_the_other_codes_of_an_order_are_closed_as_soon_as_it_is_paid_F31(
    shop: Shop, wire: Loopback, trouble: Trouble
) -> None:
    """Somebody pays the older code while the newer one is on a screen, long before either expires."""
    order = shop.order()
    old, new = shop.attempt(order), shop.attempt(order, new_code=True)
    press(old, wire, trouble)
    if trouble is Trouble.DROPPED:
        refresh_attempt(attempt=old, now=wire.now, wall=wire.wall)
    assert status_of(old) == ("PAID", "PAID")
    assert PaymentAttempt.objects.get(pk=new.pk).due_at == wire.now
    wire.paths.clear()
    assert poll(wire, SECOND) == 1
    assert [path.rsplit("/", 1)[1] for path in wire.paths] == ["query", "close", "query"]
    assert status_of(new) == ("PAID", "CLOSED")
    with pytest.raises(PayRefused, match="has ended"):
        press(new, wire)


def test_the_waiting_page_makes_us_ask_at_most_every_2_seconds_and_in_any_scope(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    press(attempt, wire, Trouble.DROPPED)
    with enterprise_scope([]):
        found = refresh_attempt(attempt=attempt, now=wire.now, wall=wire.wall)
        assert found.status == AttemptStatus.PAID.value
    other = shop.attempt()
    wire.paths.clear()
    for later in (0, 1, 2, 3, 4):
        now, wall = wire.at(later * SECOND)
        refresh_attempt(attempt=other, now=now, wall=wall)
    assert len(wire.paths) == 3
    wire.lost_requests = ("/sandbox/",)
    now, wall = wire.at(MINUTE)
    assert refresh_attempt(attempt=other, now=now, wall=wall).status == AttemptStatus.PENDING.value
    assert money(attempt.order) == {"RECEIVED": 19_900}


def _pay_silently(attempt: PaymentAttempt, wire: Loopback) -> None:
    """A gateway that took money although it had closed the trade, and whose notice is lost."""
    wire.lost_requests = ("/pay/notify/",)
    press(attempt, wire, Trouble.LATE)
    wire.lost_requests = ()
