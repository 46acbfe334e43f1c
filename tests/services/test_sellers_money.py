"""The buyer below a seller orders and pays, but never moves the seller's money (R6, F44)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from amp.foundation.access import NotAllowed
from amp.foundation.models import Enterprise, Role, User
from amp.foundation.services.enterprises import create_enterprise
from billing.fapiao import Buyer
from billing.models import BankReceipt, Order, PaymentAttempt, PaymentException, Refund
from billing.refunds import Effect
from billing.services.backlog import Waiting, backlog, reader_of
from billing.services.fapiao import request_fapiao
from billing.services.figures import count_sales
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import confirm_free_order
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


def browser(place: Enterprise, email: str, role: Role = Role.FINANCE) -> Client:
    client = Client()
    client.force_login(make_member(place, role, email=email))
    return client


def bought(shop: Shop, buyer: Enterprise, prefix: str = "b") -> PaymentAttempt:
    attempt = shop.attempt(shop.order(device_ids=add_devices(shop, 1, prefix=prefix, enterprise=buyer)))
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


def test_a_buyer_never_renews_itself_for_nothing_with_the_sellers_free_plan_Q5(
    shop: Shop, buyer: Enterprise, wire: Loopback
) -> None:
    free = shop.plan_like(name="Free", amount=0)
    order = shop.order(device_ids=add_devices(shop, 1, prefix="b", enterprise=buyer), plan=free)
    assert order.enterprise_id == buyer.pk
    page, confirm = f"/admin/billing/order/{order.pk}/change/", reverse("admin:order_confirm_free", args=[order.pk])
    ann, eve = browser(buyer, "ann@example.com"), browser(shop.enterprise, "eve@example.com")
    assert confirm not in ann.get(page).content.decode()
    assert ann.post(confirm).status_code == 403
    with pytest.raises(NotAllowed):
        confirm_free_order(order=order, user=User.objects.get(email="ann@example.com"), now=NOW)
    assert Order.objects.get().status == "PENDING"
    assert confirm in eve.get(page).content.decode()
    assert eve.post(confirm).status_code == 302
    assert Order.objects.get().status == "PAID"


def test_what_only_the_sellers_people_can_decide_waits_for_nobody_else(
    shop: Shop, buyer: Enterprise, wire: Loopback, settings: Any
) -> None:
    settings.REFUND_THRESHOLD = 0
    attempt = bought(shop, buyer, prefix="wrong")
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=1), now=NOW)
    order = fulfilled(shop, buyer)
    request_refund(order=order, effect=Effect.KEEP, reason="x", asked_by="eve@example.com", now=NOW)
    count_sales(now=NOW, every=timedelta(hours=1))
    people = {
        "the buyer's": browser(buyer, "ann@example.com"),
        "who asked": browser(shop.enterprise, "eve@example.com"),
        "another one": browser(shop.enterprise, "bob@example.com"),
        "a reader": browser(shop.enterprise, "rea@example.com", Role.READ_ONLY),
    }
    names = {"the buyer's": "ann", "who asked": "eve", "another one": "bob", "a reader": "rea"}
    waits = {
        who: backlog(reader=reader_of(User.objects.get(email=f"{name}@example.com")), now=NOW)
        for who, name in names.items()
    }
    assert {who: each[Waiting.EXCEPTIONS].number for who, each in waits.items()} == {
        **dict.fromkeys(("the buyer's", "a reader"), 0),
        **dict.fromkeys(("who asked", "another one"), 1),
    }
    assert {who: each[Waiting.REQUESTED].number for who, each in waits.items()} == {
        **dict.fromkeys(("the buyer's", "a reader", "who asked"), 0),
        "another one": 1,
    }
    tiles = {
        who: next(tile for tile in client.get("/admin/").context["tiles"] if "open=ours" in tile.url)
        for who, client in people.items()
    }
    assert {who: tile.number for who, tile in tiles.items()} == {
        **dict.fromkeys(("the buyer's", "a reader"), 0),
        **dict.fromkeys(("who asked", "another one"), 1),
    }
    for who, rows in (("the buyer's", 0), ("who asked", 1)):
        assert len(people[who].get(tiles[who].url).context["cl"].result_list) == rows


def test_bank_transfers_wait_for_another_person_than_who_recorded_them(shop: Shop, wire: Loopback) -> None:
    transfer_account(shop)
    attempt = shop.attempt()
    eve, _bob = browser(shop.enterprise, "eve@example.com"), browser(shop.enterprise, "bob@example.com")
    eve.post(f"/admin/billing/paymentattempt/{attempt.pk}/receipt/", RECEIPT)
    found = {
        name: backlog(reader=reader_of(User.objects.get(email=f"{name}@example.com")), now=NOW)[Waiting.RECEIPTS].number
        for name in ("eve", "bob")
    }
    assert found == {"eve": 0, "bob": 1}
