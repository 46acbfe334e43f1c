"""Where a browser can't pay, the page says what can be done instead; and what the page costs (Q3, F86)."""

from __future__ import annotations

from typing import Any

import pytest

from amp.foundation.sealed import seal
from amp.public import views
from amp.public.result import look
from billing.models import MerchantAccount, Order, PaymentAttempt
from tests.gateways.process import Gateways, gateway_process, gateways
from tests.rules.browsers import ALIPAY_AGENT, CHROME, DESKTOP, WECHAT_AGENT
from tests.services.gateway import books_in_order, wire
from tests.services.payers import Payer, paid_at_gateway
from tests.services.visiting import Visit, rows
from tests.services.wallet_world import chosen, in_system_scope, plan_of, real, seller, visit

__all__ = ["books_in_order", "gateway_process", "gateways", "in_system_scope", "real", "visit", "wire"]
pytestmark = pytest.mark.django_db


# --- where nothing can be paid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "accounts", "secret", "says", "todo"),
    [
        (WECHAT_AGENT, ["alipay"], "", "can't be paid inside WeChat", "Open this page in your phone's browser"),
        (WECHAT_AGENT, ["wechat"], "", "can't be paid inside WeChat", "Open this page in your phone's browser"),
        (WECHAT_AGENT, ["wechat", "alipay"], "", "can't be paid inside WeChat", "Open this page in Alipay"),
        (ALIPAY_AGENT, ["wechat"], "", "can't be paid inside Alipay", "Open this page in your phone's browser"),
    ],
    ids=["alipay alone", "no AppSecret", "no AppSecret beside alipay", "wechat alone"],
)
def test_where_this_browser_cannot_pay_the_page_says_what_to_do_instead_and_makes_nothing(
    visit: Visit, agent: str, accounts: list[str], secret: str, says: str, todo: str
) -> None:
    seller(visit, *accounts, app_secret=secret)
    payer, before = Payer(agent), rows()
    told = payer.open(visit.path)
    assert says in told
    assert todo in told
    assert payer.buttons == {}
    answer = payer.press("wechat", plan=plan_of(visit))
    assert answer.status_code == 409
    assert rows() == before


def test_a_seller_of_bank_transfers_alone_offers_one_in_every_browser(visit: Visit) -> None:
    seller(visit, "offline")
    for agent in (WECHAT_AGENT, ALIPAY_AGENT, CHROME, DESKTOP):
        payer = Payer(agent)
        told = payer.open(visit.path)
        assert payer.buttons == {"offline": "Pay by bank transfer"}
        assert "QR" not in told
    order = chosen(payer, visit, "offline")
    attempt = PaymentAttempt.objects.get()
    told = payer.open(f"{visit.path}/orders/{order.number}")
    assert attempt.code in told
    assert f"Transfer ¥199.00 to {order.merchant_name}" in told
    assert "15 March 2026" in told, "it waits 14 days"
    assert "<svg" not in payer.html


def test_the_sandbox_plays_every_way_on_one_page(visit: Visit) -> None:
    for agent in (WECHAT_AGENT, ALIPAY_AGENT, CHROME):
        payer = Payer(agent)
        payer.open(visit.path)
        assert payer.buttons == {"sandbox": "Pay (TEST)"}
        assert payer.press("sandbox", plan=plan_of(visit))["Location"].startswith("http://testserver/sandbox/pay/")
    payer = Payer(DESKTOP)
    chosen(payer, visit, "sandbox")
    assert payer.code.startswith("http://testserver/sandbox/pay/")
    assert "Open the TEST payment page" in payer.html


def test_a_payment_that_settles_while_the_page_is_read_is_no_payment_that_differs(
    visit: Visit, real: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    seller(visit, "alipay")
    payer = Payer(ALIPAY_AGENT)
    order = chosen(payer, visit, "alipay")
    link = payer.link

    def settled_meanwhile(*given: Any) -> Any:
        if Order.objects.get(pk=order.pk).status == "PENDING":
            paid_at_gateway(real, link)
        return look(*given)

    monkeypatch.setattr(views, "look", settled_meanwhile)
    assert "Payment received" in payer.open(f"{visit.path}/orders/{order.number}")


def test_prices_are_shown_where_a_secret_cannot_be_opened(visit: Visit) -> None:
    seller(visit, "wechat")
    MerchantAccount.objects.update(sealed_secret=seal(b"{}", "somebody else"))
    assert "¥199.00" in Payer(WECHAT_AGENT).open(visit.path)


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "queries"), [(WECHAT_AGENT, 9), (CHROME, 15), (DESKTOP, 9)], ids=["wechat", "phone", "computer"]
)
def test_the_page_of_a_waiting_order_costs_the_same_queries_whatever_came_before(
    visit: Visit, django_assert_num_queries: Any, agent: str, queries: int
) -> None:
    seller(visit, "wechat", "alipay")
    payer = Payer(agent)
    payer.open(visit.path)
    order = chosen(payer, visit, next(iter(payer.buttons)))
    path = f"{visit.path}/orders/{order.number}"
    with django_assert_num_queries(queries):
        payer.browser.get(path)
