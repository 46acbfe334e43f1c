"""The buyer below a seller orders and pays, but never moves the seller's money (R6, F44)."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from amp.foundation.models import Enterprise, Role
from amp.foundation.services.enterprises import create_enterprise
from billing.fapiao import Buyer
from billing.models import BankReceipt, Order, PaymentAttempt, PaymentException, Refund
from billing.refunds import Effect
from billing.services.fapiao import request_fapiao
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refunds import request_refund
from billing.services.settlement import settle
from tests.factories import make_member
from tests.services.gateway import books_in_order, wire
from tests.services.offline_bench import transfer_account
from tests.services.refunding import pay_at_sandbox
from tests.services.shop import ACTOR, NOW, Loopback, Shop, add_devices, open_shop, paid

__all__ = ["books_in_order", "wire"]
WHO = Buyer("上海暖通科技有限公司", "91310000MA1FL0XX8A", "a@b.cn")
RECEIPT = {"amount": "199.00", "reference": "BANK0001", "received_on": "2026-03-01"}


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=1)


@pytest.fixture
def buyer(shop: Shop) -> Enterprise:
    return create_enterprise(
        name="Buyer", parent=shop.enterprise, time_zone="Asia/Shanghai", currency="CNY", actor=ACTOR, now=NOW
    )


def browser(place: Enterprise, email: str) -> Client:
    client = Client()
    client.force_login(make_member(place, Role.FINANCE, email=email))
    return client


def bought(shop: Shop, buyer: Enterprise) -> PaymentAttempt:
    attempt = shop.attempt(shop.order(device_ids=add_devices(shop, 1, prefix="b", enterprise=buyer)))
    assert (attempt.order.enterprise_id, attempt.account.enterprise_id) == (buyer.pk, shop.enterprise.pk)
    return attempt


def fulfilled(shop: Shop, buyer: Enterprise) -> Order:
    attempt = bought(shop, buyer)
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=NOW), now=NOW)
    fulfil_paid_orders(now=NOW)
    return Order.objects.get(pk=attempt.order_id)


def test_a_buyer_never_says_that_money_came_to_the_seller(shop: Shop, buyer: Enterprise, wire: Loopback) -> None:
    transfer_account(shop)
    attempt = bought(shop, buyer)
    path = f"/admin/billing/paymentattempt/{attempt.pk}/receipt/"
    ann, bob, seller = (
        browser(buyer, "ann@example.com"),
        browser(buyer, "bob@example.com"),
        browser(shop.enterprise, "eve@example.com"),
    )
    page = ann.get(f"/admin/billing/paymentattempt/{attempt.pk}/change/").content.decode()
    assert 'name="reference"' not in page
    assert ann.post(path, RECEIPT).status_code == 403
    assert seller.post(path, RECEIPT).status_code == 302
    receipt = BankReceipt.objects.get()
    decide = f"/admin/billing/paymentattempt/{attempt.pk}/receipt/{receipt.pk}/"
    assert bob.post(decide, {"confirm": "1"}).status_code == 403
    assert Order.objects.get().status == "PENDING"


def test_a_buyer_never_pays_itself_back(shop: Shop, buyer: Enterprise, wire: Loopback) -> None:
    order = fulfilled(shop, buyer)
    ann = browser(buyer, "ann@example.com")
    wish = {"amount": "199.00", "effect": "KEEP", "reason": "mine", "once_key": "k"}
    assert ann.post(f"/admin/billing/order/{order.pk}/refund/", wish).status_code == 403
    assert f"/order/{order.pk}/refund/" not in ann.get(f"/admin/billing/order/{order.pk}/change/").content.decode()
    assert not Refund.objects.exists()
    seller = browser(shop.enterprise, "eve@example.com")
    assert seller.post(f"/admin/billing/order/{order.pk}/refund/", wish).status_code == 302


@pytest.mark.parametrize("decision", ["approve", "reject", "retry"])
def test_a_buyer_never_approves_what_the_seller_would_pay(
    shop: Shop, buyer: Enterprise, wire: Loopback, settings: object, decision: str
) -> None:
    settings.REFUND_THRESHOLD = 0  # type: ignore[attr-defined]
    order = fulfilled(shop, buyer)
    refund = request_refund(order=order, effect=Effect.KEEP, reason="x", asked_by="eve@example.com", now=NOW)
    ann = browser(buyer, "ann@example.com")
    answer = ann.post(f"/admin/billing/refund/{refund.pk}/decide/", {"decision": decision, "reason": "x"})
    assert answer.status_code == 403
    assert Refund.objects.get().status == "REQUESTED"


def test_a_buyer_never_resolves_a_case_of_the_sellers_money(shop: Shop, buyer: Enterprise, wire: Loopback) -> None:
    attempt = bought(shop, buyer)
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=1), now=NOW)
    case = PaymentException.objects.get()
    ann = browser(buyer, "ann@example.com")
    answer = ann.post(f"/admin/billing/paymentexception/{case.pk}/resolve/", {"resolution": "REFUND", "reason": "mine"})
    assert answer.status_code == 403
    assert PaymentException.objects.get().resolved_at is None


def test_a_buyer_never_says_that_the_sellers_fapiao_exists(shop: Shop, buyer: Enterprise, wire: Loopback) -> None:
    order = fulfilled(shop, buyer)
    asked = request_fapiao(order=order, buyer=WHO, actor="x", now=NOW)
    ann = browser(buyer, "ann@example.com")
    page = ann.get(f"/admin/billing/fapiaorequest/{asked.pk}/change/")
    assert (page.status_code, 'name="number"' in page.content.decode()) == (200, False)
    assert ann.post(reverse("admin:fapiao_issue", args=[asked.pk]), {"number": "12345678"}).status_code == 403
    seller = browser(shop.enterprise, "eve@example.com")
    assert seller.post(reverse("admin:fapiao_issue", args=[asked.pk]), {"number": "12345678"}).status_code == 302
