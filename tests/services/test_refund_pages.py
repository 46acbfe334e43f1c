"""Pages of refunds, exceptions and bank transfers: consequences first, one POST, two people (X2)."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event, Role, User
from billing.models import (
    BankPayout,
    BankReceipt,
    Order,
    PaymentAttempt,
    PaymentException,
    Refund,
)
from billing.services.backlog import Waiting, backlog, reader_of
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_work import work_refunds
from billing.services.settlement import settle
from tests.factories import make_member
from tests.services.gateway import books_in_order, wire
from tests.services.offline_bench import receive, transfer_account
from tests.services.refunding import pay_at_sandbox, refund_of, work
from tests.services.shop import NOW, Loopback, Shop, open_shop, paid

__all__ = ["books_in_order", "wire"]


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=2)


def browser(shop: Shop, role: Role = Role.FINANCE, email: str = "ann@example.com") -> Client:
    client = Client()
    client.force_login(make_member(shop.enterprise, role, email=email))
    return client


def fulfilled(shop: Shop) -> Order:
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=NOW), now=NOW)
    fulfil_paid_orders(now=NOW)
    return Order.objects.get(pk=attempt.order_id)


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


WISH = {"amount": "99.50", "effect": "SHORTEN", "reason": "returned", "once_key": "k"}


def test_a_refund_shows_what_it_does_before_its_button_and_asks_once(shop: Shop, wire: Loopback) -> None:
    order, ann = fulfilled(shop), browser(shop)
    path = f"/admin/billing/order/{order.pk}/refund/"
    page = text_of(ann.get(path))
    assert "is worth ¥398.00" in page
    assert "What the refund does" not in page
    page = text_of(ann.get(path, WISH))
    assert "2 devices lose time" in page
    assert "Refund ¥99.50" in page
    assert not Refund.objects.exists()
    for _ in range(2):
        answer = ann.post(path, WISH)
        assert answer["Location"] == f"/admin/billing/refund/{Refund.objects.get().pk}/change/"
    assert (Refund.objects.get().amount, Refund.objects.get().requested_by) == (9_950, "ann@example.com")
    assert "Approved" in text_of(ann.get(answer["Location"]))
    assert "Nothing of this order is left" in text_of(ann.get(path))


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ({"amount": "398.01"}, "at most what is left"),
        ({"amount": "1e3"}, "Type the amount in digits"),
        ({"amount": "٣"}, "Type the amount in digits"),
        ({"amount": "0"}, "at least the smallest unit"),
        ({"effect": "EXPLODE"}, "valid choice"),
        ({"reason": ""}, "required"),
        ({"line": "9" * 30}, "What the refund does"),
    ],
)
def test_nonsense_comes_back_with_its_reason(shop: Shop, wire: Loopback, typed: dict[str, str], reason: str) -> None:
    order, ann = fulfilled(shop), browser(shop)
    answer = ann.get(f"/admin/billing/order/{order.pk}/refund/", WISH | typed)
    assert answer.status_code == 200
    assert reason in text_of(answer)
    if "line" not in typed:
        assert ann.post(f"/admin/billing/order/{order.pk}/refund/", WISH | typed).status_code == 422
        assert not Refund.objects.exists()


def test_one_device_may_have_its_days_chosen(shop: Shop, wire: Loopback) -> None:
    order, ann = fulfilled(shop), browser(shop)
    line = order.lines.order_by("pk")[0].pk
    path = f"/admin/billing/order/{order.pk}/refund/"
    assert "Days to take" in text_of(ann.get(path, {"line": line}))
    ann.post(path, WISH | {"line": line, "days": "10"})
    assert Refund.objects.get().lines.get().wanted_seconds == 864_000


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.READ_ONLY])
def test_who_may_not_refund_sees_no_button_and_gets_no_page(shop: Shop, wire: Loopback, role: Role) -> None:
    order, client = fulfilled(shop), browser(shop, role)
    assert f"/admin/billing/order/{order.pk}/refund/" not in text_of(
        client.get(f"/admin/billing/order/{order.pk}/change/")
    )
    assert client.get(f"/admin/billing/order/{order.pk}/refund/").status_code == 403
    assert client.post(f"/admin/billing/order/{order.pk}/refund/", WISH).status_code == 403


def test_another_person_approves_or_rejects_on_the_refunds_page(shop: Shop, wire: Loopback, settings: Any) -> None:
    settings.REFUND_THRESHOLD = 0
    refund = refund_of(fulfilled(shop), now=NOW)
    ann, bob = browser(shop), browser(shop, email="bob@example.com")
    page, decide = f"/admin/billing/refund/{refund.pk}/change/", f"/admin/billing/refund/{refund.pk}/decide/"
    assert "You asked for it" in text_of(ann.get(page))
    assert 'value="approve"' not in text_of(ann.get(page))
    assert "Another person" in text_of(ann.post(decide, {"decision": "approve"}, follow=True))
    assert 'value="approve"' in text_of(bob.get(page))
    assert bob.get(decide).status_code == 405
    reader = browser(shop, Role.READ_ONLY, "reader@example.com")
    assert reader.post(decide, {"decision": "approve"}).status_code == 403
    assert "Say why" in text_of(bob.post(decide, {"decision": "reject", "reason": ""}, follow=True))
    assert "on its way" in text_of(bob.post(decide, {"decision": "approve"}, follow=True))
    assert Refund.objects.get().approved_by == "bob@example.com"


def test_a_case_is_resolved_by_one_click_with_a_reason(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=1), now=NOW)
    case, ann = PaymentException.objects.get(), browser(shop)
    page, resolve = (f"/admin/billing/paymentexception/{case.pk}/{verb}/" for verb in ("change", "resolve"))
    order = f"/admin/billing/order/{attempt.order_id}/change/"
    assert "¥0.01 needs a decision" in text_of(ann.get(order))
    assert "Refund ¥0.01" in text_of(ann.get(page))
    assert "No device is touched" in text_of(ann.get(page))
    assert "Say why" in text_of(ann.post(resolve, {"resolution": "REFUND"}, follow=True))
    assert "Choose one" in text_of(ann.post(resolve, {"resolution": "BRIBE", "reason": "x"}, follow=True))
    for _ in range(2):
        assert "is resolved" in text_of(ann.post(resolve, {"resolution": "REFUND", "reason": "typo"}, follow=True))
    assert Refund.objects.count() == 1
    assert "typo" in text_of(ann.get(page))
    assert "needs a decision" not in text_of(ann.get(order))
    event = Event.objects.get(kind="payment.exception_resolved")
    assert (event.actor, event.why) == ("ann@example.com", "typo")
    operator = browser(shop, Role.OPERATOR, "op@example.com")
    assert operator.post(resolve, {"resolution": "REFUND", "reason": "x"}).status_code == 403
    assert 'name="resolution"' not in text_of(operator.get(page))


def test_a_transfer_is_asked_for_recorded_and_confirmed_on_the_payments_page(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    order, ann, bob = shop.order(), browser(shop), browser(shop, email="bob@example.com")
    assert "Pay by bank transfer" in text_of(ann.get(f"/admin/billing/order/{order.pk}/change/"))
    page = ann.post(f"/admin/billing/order/{order.pk}/transfer/")["Location"]
    attempt = PaymentAttempt.objects.get()
    assert attempt.code in text_of(ann.get(page))
    typed = {"amount": "398.00", "received_on": "2026-03-01", "reference": "ICBC-77"}
    record = f"/admin/billing/paymentattempt/{attempt.pk}/receipt/"
    assert "Bank reference:" in text_of(ann.post(record, typed | {"reference": ""}, follow=True))
    assert "not come yet" in text_of(ann.post(record, typed | {"received_on": "2026-03-05"}, follow=True))
    assert "until then nothing is paid" in text_of(ann.post(record, typed, follow=True))
    decide = f"{record}{BankReceipt.objects.get().pk}/"
    assert "you recorded it" in text_of(ann.post(decide, follow=True))
    assert Order.objects.get().status == "PENDING"
    assert "is confirmed" in text_of(bob.post(decide, follow=True))
    assert Order.objects.get().status == "PAID"


def test_a_transfer_is_paid_back_by_two_people_on_the_refunds_page(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    receive(shop.attempt())
    fulfil_paid_orders(now=NOW)
    refund = refund_of(Order.objects.get(), now=NOW)
    work_refunds(now=NOW, wall=NOW)
    ann, bob = browser(shop), browser(shop, email="bob@example.com")
    page, payout = f"/admin/billing/refund/{refund.pk}/change/", f"/admin/billing/refund/{refund.pk}/payout/"
    assert "I have paid it out" in text_of(ann.get(page))
    assert "bank's reference" in text_of(ann.post(payout, {"reference": "?"}, follow=True))
    assert "Another person confirms" in text_of(ann.post(payout, {"reference": "OUT-9"}, follow=True))
    assert "you paid it out" in text_of(ann.post(payout, {"confirm": "1"}, follow=True))
    assert "Confirm: it left the account" in text_of(bob.get(page))
    assert "money is back" in text_of(bob.post(payout, {"confirm": "1"}, follow=True))
    assert BankPayout.objects.get().confirmed_by == "bob@example.com"
    work(wire, NOW)


def test_the_second_person_rejects_a_payout_on_the_refunds_page(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    receive(shop.attempt())
    fulfil_paid_orders(now=NOW)
    refund = refund_of(Order.objects.get(), now=NOW)
    work_refunds(now=NOW, wall=NOW)
    ann, bob = browser(shop), browser(shop, email="bob@example.com")
    page, payout = f"/admin/billing/refund/{refund.pk}/change/", f"/admin/billing/refund/{refund.pk}/payout/"
    assert "can't be paid out" in text_of(bob.get(page)), "before anybody has paid, whoever may confirm may say so"
    ann.post(payout, {"reference": "OUT-9"})
    assert 'name="reject"' not in text_of(ann.get(page))
    assert "you paid it out" in text_of(ann.post(payout, {"reject": "1", "reason": "x"}, follow=True))
    assert "never left the account" in text_of(bob.get(page))
    assert "Say why" in text_of(bob.post(payout, {"reject": "1", "reason": " "}, follow=True))
    told = text_of(bob.post(payout, {"reject": "1", "reason": "The account is closed"}, follow=True))
    assert "can be refunded anew" in told
    assert "Nothing was given back." in told
    assert "The account is closed" in told
    assert 'name="confirm"' not in told
    again = f"/admin/billing/order/{refund.order_id}/refund/"
    assert ann.post(again, {"amount": "398.00", "effect": "KEEP", "reason": "anew"}).status_code == 302


def test_the_overview_counts_what_waits_by_as_many_queries_for_more_of_it(shop: Shop, wire: Loopback) -> None:
    ann = browser(shop)
    path = "/admin/billing/overview/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert ann.get(path).status_code == 200
        return len(caught)

    ann.get(path)
    empty = queries()
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=1), now=NOW)
    fulfilled(shop)
    refund_of(Order.objects.get(status="FULFILLED"), now=NOW)
    heaps = backlog(reader=reader_of(User.objects.get(email="ann@example.com")), now=NOW)
    assert heaps[Waiting.EXCEPTIONS] == (1, NOW)
    assert heaps[Waiting.REFUNDING] == (1, NOW)
    assert heaps[Waiting.ORDERS_STUCK].number == 0
    page = text_of(ann.get(path))
    assert "1 matter waits for you" in page
    assert "/admin/billing/refund/?status=PROCESSING" in page
    assert queries() == empty


def test_lists_behind_the_overview_have_their_filters(shop: Shop, wire: Loopback) -> None:
    order, ann = fulfilled(shop), browser(shop)
    Order.objects.filter(pk=order.pk).update(status="PAID", due_at=None)
    assert order.number in text_of(ann.get("/admin/billing/order/?stuck=yes"))
    Order.objects.filter(pk=order.pk).update(status="FULFILLED")
    assert order.number not in text_of(ann.get("/admin/billing/order/?stuck=yes"))
    refund = refund_of(order, now=NOW)
    assert refund.number in text_of(ann.get("/admin/billing/refund/?status=APPROVED"))
    assert refund.number not in text_of(ann.get("/admin/billing/refund/?status=FAILED"))


def test_the_page_of_an_order_offers_no_refund_of_what_is_refunded(shop: Shop, wire: Loopback) -> None:
    order, ann = fulfilled(shop), browser(shop)
    refund_of(order, now=NOW)
    work(wire, NOW)
    page = text_of(ann.get(f"/admin/billing/order/{order.pk}/change/"))
    assert f"/admin/billing/order/{order.pk}/refund/" not in page
    assert "Refunded" in page
