"""Payers at the gateways' simulator: a seller with both wallets, a device to pay for, and what each browser does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from amp.foundation.scoping import system_scope
from billing.models import Order
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.links import link_to
from catalog.models import Plan
from devices.models import Command
from tests.gateways.process import Gateways, gateway_process, gateways
from tests.rules.browsers import ALIPAY_AGENT, WECHAT_AGENT
from tests.services.gateway import books_in_order, wire
from tests.services.payers import Payer, connect
from tests.services.shop import NOW, WALL, Loopback, Shop, open_shop
from tests.services.visiting import DAY, Visit, newest_order

__all__ = ["books_in_order", "gateway_process", "gateways", "wire"]


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def real(gateways: Gateways, wire: Loopback) -> Gateways:
    gateways.at(WALL)
    return gateways


@pytest.fixture
def shop() -> Shop:
    """A seller with both wallets, whose payers WeChat names."""
    made = open_shop(devices=2)
    connect(made.merchant, "wechat", "alipay")
    return made


def path_to(order: Order) -> str:
    return f"/p/{link_to(order=order, now=NOW)}"


def in_wechat(path: str) -> Payer:
    """Somebody who has scanned the code with WeChat, and stands before its script."""
    payer = Payer(WECHAT_AGENT)
    payer.open(path)
    payer.open(payer.through_wechat())
    return payer


def in_alipay(path: str) -> Payer:
    """Somebody who has scanned the code with Alipay, and stands before its page."""
    payer = Payer(ALIPAY_AGENT)
    payer.open(path)
    payer.press("alipay")
    return payer


@pytest.fixture
def visit() -> Visit:
    """An expired device that was locked, with a plan on sale."""
    made = Visit().over()
    made.online(NOW - 2 * DAY)
    made.report(True, NOW - 2 * DAY)
    made.plan()
    return made


def seller(visit: Visit, *providers: str, **wechat: str) -> None:
    connect(visit.device.product.enterprise.merchants.get(), *providers, **wechat)


def plan_of(visit: Visit) -> int:
    return int(Plan.objects.get(level__standard_of=visit.product).pk)


def chosen(payer: Payer, visit: Visit, wallet: str = "") -> Order:
    """The device's page is opened, and its button pressed."""
    payer.open(visit.path)
    payer.press(wallet, plan=plan_of(visit))
    return newest_order()


def is_unlocked_after(payer: Payer, visit: Visit, order: Order, wire: Loopback) -> None:
    """Paid is seen, the service extended, and the unlock on its way."""
    assert "Payment received" in payer.open(f"{visit.path}/orders/{order.number}")
    fulfil_paid_orders(now=wire.now)
    assert Order.objects.get(pk=order.pk).status == "FULFILLED"
    assert "Unlock on its way" in payer.open(f"{visit.path}/orders/{order.number}")
    assert Command.objects.filter(device=visit.device, kind="UNLOCK").count() == 1
