"""What staff hold up to a payer on the order's page: one code for both wallets, one wallet's, or a reference (Q6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from amp.foundation.scoping import system_scope
from billing.models import Order, PaymentAttempt, PaymentLink
from tests.gateways.process import Gateways, gateway_process, gateways
from tests.rules.browsers import WECHAT_AGENT
from tests.services.gateway import books_in_order, wire
from tests.services.payers import Payer, connect, open_payments, paid_at_gateway, scanned
from tests.services.shop import WALL, Loopback, Shop, open_shop
from tests.services.visiting import words

__all__ = ["books_in_order", "gateway_process", "gateways", "wire"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def real(gateways: Gateways, wire: Loopback) -> Gateways:
    gateways.at(WALL)
    return gateways


class Staff:
    """Somebody of the seller at an order's page."""

    def __init__(self, shop: Shop) -> None:
        self.browser = Client()
        self.browser.force_login(shop.user)
        self.shop = shop

    def orders(self) -> Order:
        """Renew the first device, as the admin does it."""
        path = reverse("admin:order_renew")
        self.browser.post(path, {"device": self.shop.ids[0], "plan": self.shop.plan.pk, "once_key": "k"})
        return Order.objects.latest("pk")

    def see(self, order: Order) -> str:
        """The order's page."""
        return str(self.browser.get(reverse("admin:billing_order_change", args=[order.pk])).content.decode())

    def ask(self, order: Order, **fields: Any) -> str:
        """A button that asks for a code; the page afterwards."""
        self.browser.post(reverse("admin:order_new_code", args=[order.pk]), fields)
        return self.see(order)

    def version(self, order: Order) -> str:
        """What the page compares itself with."""
        return str(self.browser.get(reverse("admin:order_status", args=[order.pk])).json()["version"])


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=1)


def test_one_code_serves_both_wallets_and_the_page_tells_when_somebody_has_scanned_it(
    shop: Shop, real: Gateways
) -> None:
    connect(shop.merchant, "wechat", "alipay")
    staff = Staff(shop)
    order = staff.orders()
    page = staff.see(order)
    code = scanned(page)
    assert code.startswith("http://testserver/p/")
    assert "Scan with WeChat or Alipay" in page
    assert "QR code</button>" not in page, "there is nothing to renew in it"
    assert open_payments(order) == []
    seen = staff.version(order)
    assert f'data-version="{seen}"' in page
    payer = Payer(WECHAT_AGENT)
    payer.open(code.removeprefix("http://testserver"))
    payer.open(payer.through_wechat())
    assert staff.version(order) != seen
    assert "Somebody has scanned it and is about to pay." in staff.see(order)
    assert scanned(staff.see(order)) == code, "and it stays for the other wallet"
    paid_at_gateway(real, payer.parameters)
    assert "<svg" not in staff.see(order).partition("amp-order-pay")[2].partition("amp-steps")[0]


@pytest.mark.parametrize(
    ("provider", "title", "start"),
    [("wechat", "Scan with WeChat", "weixin://"), ("alipay", "Scan with Alipay", "https://qr.alipay.com/")],
)
def test_one_wallets_own_code_is_named_after_it_and_can_be_renewed(
    shop: Shop, provider: str, title: str, start: str
) -> None:
    connect(shop.merchant, provider)
    staff = Staff(shop)
    order = staff.orders()
    page = staff.see(order)
    assert title in page
    assert "or Alipay" not in page
    first = scanned(page)
    assert first.startswith(start)
    again = staff.ask(order, wallet=provider, again="1")
    assert scanned(again) != first
    assert "New QR code" in again


def test_without_an_app_secret_staff_choose_the_wallet(shop: Shop) -> None:
    connect(shop.merchant, "wechat", "alipay", app_secret="")
    staff = Staff(shop)
    order = staff.orders()
    page = staff.see(order)
    assert scanned(page).startswith("weixin://")
    assert "QR code for Alipay" in page
    page = staff.ask(order, wallet="alipay")
    assert scanned(page).startswith("https://qr.alipay.com/")
    assert "QR code for WeChat" in page


def test_a_seller_of_bank_transfers_alone_is_asked_for_no_code(shop: Shop) -> None:
    connect(shop.merchant, "offline")
    staff = Staff(shop)
    order = staff.orders()
    page = staff.see(order)
    assert PaymentAttempt.objects.get().code in page
    assert "QR code" not in page
    PaymentAttempt.objects.update(status="CLOSED")
    page = staff.see(order)
    assert "The seller takes bank transfers alone." in page
    assert "Pay by bank transfer" in page
    assert "QR code" not in page


def test_a_transfer_beside_wallets_shows_the_reference_and_keeps_the_code_in_reach(shop: Shop) -> None:
    connect(shop.merchant, "alipay", "offline")
    staff = Staff(shop)
    order = staff.orders()
    assert "Pay by bank transfer" in staff.see(order)
    staff.browser.post(reverse("admin:order_transfer", args=[order.pk]))
    page = staff.see(order)
    assert PaymentAttempt.objects.get(provider="offline").code in page
    assert "Show QR code" in page
    assert scanned(staff.ask(order, wallet="alipay")).startswith("https://qr.alipay.com/")


def test_a_seller_without_accounts_is_told_what_to_do(shop: Shop, settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    staff = Staff(shop)
    page = staff.see(staff.orders())
    assert "Nobody can pay here" in page
    assert "Connect one" in page
    assert "QR code" not in page


def test_looking_at_the_order_makes_no_link(shop: Shop) -> None:
    connect(shop.merchant, "wechat", "alipay")
    staff, order = Staff(shop), shop.order()
    assert "No code yet" in words(staff.browser.get(reverse("admin:billing_order_change", args=[order.pk])))
    assert not PaymentLink.objects.exists()
    assert scanned(staff.ask(order)).startswith("http://testserver/p/")
