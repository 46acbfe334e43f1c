"""A gateway that never answers is asked for a week, then when a person says so; bank transfers never are (R1)."""

from __future__ import annotations

import html
from datetime import timedelta

from django.test import Client

from amp.foundation.models import Role
from billing.models import PaymentAttempt, PaymentException, Resolution
from billing.orders import ASK_AT_LEAST, ASK_FOR, LATE_CHECKS
from billing.services.offline import confirm_receipt
from billing.services.ordering import cancel_order
from billing.services.polling import expire_due_orders, poll_due_attempts
from billing.services.resolving import resolve_exception
from billing.services.sandbox import Trouble, pay
from billing.services.settlement import settle
from tests.factories import make_member
from tests.services.gateway import books_in_order, shop, wire
from tests.services.offline_bench import transfer_account
from tests.services.refunding import ANN, BOB
from tests.services.shop import ACTOR, MINUTE, NOW, Loopback, Shop, kinds, money, paid
from tests.services.test_offline import recorded

__all__ = ["books_in_order", "shop", "wire"]

HOUR = timedelta(hours=1)
LAST = 30 * MINUTE + LATE_CHECKS[-1]
SILENT = ("/sandbox/gateway/",)


def asked(wire: Loopback, later: timedelta) -> int:
    """One sweep, so much later; how often the gateway was called."""
    wire.paths.clear()
    now, wall = wire.at(later)
    poll_due_attempts(now=now, wall=wall)
    return len(wire.paths)


def never_answered(shop: Shop, wire: Loopback) -> PaymentAttempt:
    """Paid in time, but the notice was lost and no question about it was ever answered: a case for a person."""
    attempt = shop.attempt()
    pay(signed=attempt.code.rsplit("/", 1)[1], trouble=Trouble.DROPPED, now=wire.now, wall=wire.wall)
    wire.lost_requests = SILENT
    now, wall = wire.at(3 * HOUR)
    expire_due_orders(now=now, wall=wall)
    PaymentAttempt.objects.filter(pk=attempt.pk).update(queries=ASK_AT_LEAST)
    asked(wire, LAST + ASK_FOR)
    return attempt


def case() -> PaymentException:
    return PaymentException.objects.get(kind="UNANSWERED")


def decide(resolution: Resolution, wire: Loopback) -> None:
    resolve_exception(exception=case(), resolution=resolution, reason="keys renewed", by=ANN, now=wire.now)


def test_a_silent_gateway_is_asked_hourly_for_a_week_and_then_a_person_is_R1(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = SILENT
    later, calls = LAST, 0
    while asked(wire, later):
        later, calls = later + HOUR, calls + 1
        assert calls < 1_000, "it is asked for ever"
    assert calls == ASK_FOR // HOUR + 1
    attempt.refresh_from_db()
    assert (attempt.due_at, attempt.status) == (None, "PENDING")
    assert (case().resolved_at, case().amount, case().facts["asked"]) == (None, 19_900, calls)
    assert kinds(f"order:{attempt.order_id}")[-1] == "payment.exception"
    assert money(attempt.order) == {}, "nothing is known to have come"


def test_whoever_was_away_for_that_week_asks_all_the_same_F13(shop: Shop, wire: Loopback) -> None:
    """A month without beat, and the first question after it is lost: the next one finds the money, without a person."""
    attempt = shop.attempt()
    pay(signed=attempt.code.rsplit("/", 1)[1], trouble=Trouble.DROPPED, now=wire.now, wall=wire.wall)
    wire.lost_requests = SILENT
    assert asked(wire, LAST + 31 * 24 * HOUR)
    assert not PaymentException.objects.exists()
    wire.lost_requests = ()
    assert asked(wire, LAST + 31 * 24 * HOUR + HOUR)
    attempt.refresh_from_db()
    assert (attempt.status, money(attempt.order)) == ("PAID", {"RECEIVED": 19_900})


def test_ask_again_finds_the_money_that_was_there_all_the_time_R1(shop: Shop, wire: Loopback) -> None:
    attempt = never_answered(shop, wire)
    wire.lost_requests = ()
    decide(Resolution.RETRY, wire)
    assert asked(wire, LAST + ASK_FOR + HOUR)
    attempt.refresh_from_db()
    assert (attempt.status, money(attempt.order)) == ("PAID", {"RECEIVED": 19_900})
    assert (case().resolved_by, case().resolution) == (ANN, "RETRY")


def test_a_gateway_that_is_silent_once_more_opens_the_case_again_with_the_same_amount_R1(
    shop: Shop, wire: Loopback
) -> None:
    attempt = never_answered(shop, wire)
    decide(Resolution.RETRY, wire)
    assert asked(wire, LAST + ASK_FOR + HOUR) == 1
    assert (case().resolved_at, case().amount) == (None, attempt.amount)
    assert not asked(wire, LAST + ASK_FOR + 9 * HOUR)


def test_who_asks_no_more_loses_no_money_that_a_notice_tells_of_later_R1(shop: Shop, wire: Loopback) -> None:
    attempt = never_answered(shop, wire)
    decide(Resolution.KEEP, wire)
    assert not asked(wire, LAST + ASK_FOR + 9 * HOUR)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=wire.now)
    assert money(attempt.order) == {"RECEIVED": 19_900}


def test_a_notice_that_comes_after_all_closes_the_case_R1(shop: Shop, wire: Loopback) -> None:
    attempt = never_answered(shop, wire)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=wire.now)
    assert (case().resolved_at, case().resolved_by) == (wire.now, "gateway")
    assert PaymentException.objects.filter(resolved_at=None).values_list("kind", flat=True).get() == "LATE"


def test_the_page_of_the_case_asks_again_by_one_click_R1(shop: Shop, wire: Loopback) -> None:
    attempt = never_answered(shop, wire)
    finance = Client()
    finance.force_login(make_member(shop.enterprise, Role.FINANCE, email="ann@example.com"))
    page, resolve = (f"/admin/billing/paymentexception/{case().pk}/{verb}/" for verb in ("change", "resolve"))
    text = html.unescape(finance.get(page).content.decode())
    assert "never said whether it was paid" in text
    assert [each in text for each in ("Ask again", "Ask no more", "Keep the payment", "Refund CN")] == [
        *(True, True, False, False)
    ]
    finance.post(resolve, {"resolution": "RETRY", "reason": "keys renewed"})
    attempt.refresh_from_db()
    assert attempt.due_at is not None
    assert case().resolved_at is not None


def test_nobody_polls_a_bank_transfer_which_only_people_can_tell_of(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    attempt = shop.attempt()
    assert attempt.due_at is None
    receipt = recorded(attempt)
    confirm_receipt(receipt=receipt, by=BOB, now=NOW)
    assert money(attempt.order) == {"RECEIVED": 19_900}


def test_a_bank_transfer_of_a_cancelled_order_is_closed_once_and_not_looked_at_again(
    shop: Shop, wire: Loopback
) -> None:
    transfer_account(shop)
    attempt = shop.attempt()
    cancel_order(order=attempt.order, actor=ACTOR, now=NOW)
    now, wall = wire.at(MINUTE)
    assert poll_due_attempts(now=now, wall=wall) == 1
    attempt.refresh_from_db()
    assert (attempt.status, attempt.due_at) == ("CLOSED", None)


def test_an_unpaid_bank_transfer_ends_with_its_order_after_two_weeks_Q2(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    attempt = shop.attempt()
    now, wall = wire.at(timedelta(days=14))
    assert expire_due_orders(now=now, wall=wall) == 1
    attempt.refresh_from_db()
    assert (attempt.status, attempt.due_at) == ("CLOSED", None)
