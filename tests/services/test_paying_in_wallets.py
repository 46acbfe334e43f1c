"""Each browser pays as it can, from the device's page to the unlock on its way, against the simulator (Q3, F26)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Order, PaymentAttempt
from tests.gateways.process import OPENID, Gateways, gateway_process, gateways
from tests.rules.browsers import ALIPAY_AGENT, CHROME, DESKTOP, SAFARI, WECHAT_AGENT
from tests.services.gateway import books_in_order, wire
from tests.services.payers import ADDRESS, Payer, open_payments, paid_at_gateway
from tests.services.shop import Loopback
from tests.services.visiting import Visit, newest_order
from tests.services.wallet_world import chosen, in_system_scope, is_unlocked_after, plan_of, real, seller, visit

__all__ = ["books_in_order", "gateway_process", "gateways", "in_system_scope", "real", "visit", "wire"]
pytestmark = pytest.mark.django_db


# --- inside the wallets ----------------------------------------------------------------------------------------------


def test_inside_wechat_wechats_script_is_called_for_the_payer_that_wechat_names(
    visit: Visit, real: Gateways, wire: Loopback
) -> None:
    seller(visit, "wechat", "alipay")
    payer = Payer(WECHAT_AGENT)
    payer.open(visit.path)
    assert payer.buttons == {"wechat": "Pay with WeChat Pay"}, "inside a wallet only that wallet is offered"
    answer = payer.press("wechat", plan=plan_of(visit))
    assert answer["Location"].startswith("/p/")
    assert answer["Location"].endswith("#go")
    order = newest_order()
    assert open_payments(order) == [], "nobody knows yet who pays"
    assert visit.token not in payer.link, "WeChat hears of the pay page alone, never of the device's link"
    payer.open(payer.through_wechat())
    [attempt] = PaymentAttempt.objects.filter(order=order)
    assert (attempt.way, attempt.payer_id, attempt.payer_ip) == ("IN_APP", OPENID, ADDRESS)
    assert payer.parameters == attempt.code
    [trade] = real.books()
    assert (trade["request"]["kind"], trade["request"]["payer"]) == ("jsapi", {"openid": OPENID})
    assert paid_at_gateway(real, payer.parameters) == [200]
    assert "Payment received" in payer.open(f"/pay/return/{attempt.number}")
    assert payer.page.redirect_chain[-1][0] == f"{visit.path}/orders/{order.number}"
    is_unlocked_after(payer, visit, order, wire)


def test_the_script_page_repeats_what_is_stored_and_asks_wechat_for_nothing_new(visit: Visit, real: Gateways) -> None:
    """Asking again for the same number would end the code that the payer has in hand."""
    seller(visit, "wechat")
    payer = Payer(WECHAT_AGENT)
    order = chosen(payer, visit, "wechat")
    payer.open(payer.through_wechat())
    first, path = payer.parameters, payer.page.request["PATH_INFO"]
    calls = len(real.say("calls"))
    payer.open(path)
    assert payer.parameters == first
    assert len(real.say("calls")) == calls
    assert len(open_payments(order)) == 1


def test_who_gives_up_in_wechat_comes_back_to_the_order_and_may_start_again(visit: Visit, real: Gateways) -> None:
    seller(visit, "wechat")
    payer = Payer(WECHAT_AGENT)
    order = chosen(payer, visit, "wechat")
    payer.open(payer.through_wechat())
    number = PaymentAttempt.objects.get().number
    assert "Waiting for your payment" in payer.open(f"/pay/return/{number}?result=ok"), "the browser is never believed"
    assert Order.objects.get(pk=order.pk).status == "PENDING"
    payer.open(payer.link)
    payer.open(payer.through_wechat())
    assert PaymentAttempt.objects.get().number == number, "the same payer goes on with the same payment"


def test_inside_alipay_alipays_page_opens_and_nothing_else_is_offered(
    visit: Visit, real: Gateways, wire: Loopback
) -> None:
    seller(visit, "wechat", "alipay")
    payer = Payer(ALIPAY_AGENT)
    payer.open(visit.path)
    assert payer.buttons == {"alipay": "Pay with Alipay"}
    order = chosen(payer, visit, "alipay")
    assert open_payments(order) == [("alipay", "IN_APP", "PENDING")]
    assert "method=alipay.trade.wap.pay" in payer.link
    assert paid_at_gateway(real, payer.link) == [200]
    is_unlocked_after(payer, visit, order, wire)


# --- a phone's browser -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [SAFARI, CHROME], ids=["safari", "chrome"])
def test_a_phones_browser_chooses_between_the_wallets(visit: Visit, real: Gateways, wire: Loopback, agent: str) -> None:
    seller(visit, "wechat", "alipay")
    payer = Payer(agent)
    payer.open(visit.path)
    assert payer.buttons == {"wechat": "Pay with WeChat Pay", "alipay": "Pay with Alipay"}
    order = chosen(payer, visit, "wechat")
    assert "https://wx.tenpay.com/" in payer.link
    assert payer.buttons == {"alipay": "Pay ¥199.00 with Alipay"}, "the other wallet stays in reach"
    [trade] = real.books()
    assert trade["request"]["scene_info"]["payer_client_ip"] == ADDRESS
    assert paid_at_gateway(real, payer.link.partition("&redirect_url=")[0]) == [200]
    is_unlocked_after(payer, visit, order, wire)


def test_wechats_page_for_browsers_hears_our_origin_and_never_the_devices_link_F85(visit: Visit) -> None:
    """It refuses payers who come from nowhere, and the page's own policy is to tell nothing."""
    seller(visit, "wechat", "alipay")
    payer = Payer(CHROME)
    chosen(payer, visit, "wechat")
    assert 'referrerpolicy="origin"' in payer.html
    assert payer.page["Referrer-Policy"] == "no-referrer"
    assert visit.token not in payer.link
    payer.press("alipay")
    assert "alipay.trade.wap.pay" in payer.link
    assert "referrerpolicy" not in payer.html, "Alipay needs to hear nothing"


def test_a_link_that_died_before_its_order_is_followed_by_a_new_payment(
    visit: Visit, real: Gateways, wire: Loopback
) -> None:
    seller(visit, "wechat")
    payer = Payer(CHROME)
    order = chosen(payer, visit, "wechat")
    first = payer.link
    real.at(wire.at(timedelta(minutes=5))[1])
    told = payer.open(f"{visit.path}/orders/{order.number}")
    assert "This payment code has ended" in told
    assert payer.buttons == {"wechat": "New payment"}
    payer.press("wechat")
    assert payer.link != first
    assert len(open_payments(order)) == 2
    assert Order.objects.count() == 1


def test_the_form_may_name_no_wallet_that_is_not_offered_F86(visit: Visit) -> None:
    seller(visit, "wechat", "alipay")
    payer = Payer(CHROME)
    for forged in ("offline", "sandbox", "x" * 9_000, "stripe"):
        payer.open(visit.path)
        payer.press(forged, plan=plan_of(visit), way="SCREEN", account=1, amount=1)
        assert payer.buttons.keys() == {"wechat", "alipay"}, "it is asked again"
    assert not PaymentAttempt.objects.exists()


# --- a computer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "start", "title"),
    [
        ("wechat", "weixin://wxpay/bizpayurl?pr=", "Scan with WeChat"),
        ("alipay", "https://qr.alipay.com/", "Scan with Alipay"),
    ],
)
def test_where_a_seller_has_one_wallet_the_screen_shows_that_wallets_own_code(
    visit: Visit, real: Gateways, wire: Loopback, provider: str, start: str, title: str
) -> None:
    seller(visit, provider)
    payer = Payer(DESKTOP)
    order = chosen(payer, visit, provider)
    assert title in payer.open(f"{visit.path}/orders/{order.number}")
    assert payer.code.startswith(start)
    assert paid_at_gateway(real, payer.code) == [200]
    is_unlocked_after(payer, visit, order, wire)


def test_without_an_app_secret_a_screen_shows_each_wallets_own_code_by_choice(visit: Visit, real: Gateways) -> None:
    seller(visit, "wechat", "alipay", app_secret="")
    payer = Payer(DESKTOP)
    order = chosen(payer, visit, "wechat")
    assert payer.code.startswith("weixin://")
    payer.press("alipay")
    assert payer.code.startswith("https://qr.alipay.com/")
    assert [each[:2] for each in open_payments(order)] == [("wechat", "SCREEN"), ("alipay", "SCREEN")]
