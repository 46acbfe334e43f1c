"""The way through WeChat that names the payer, and back: bound to its link, its order and its account (F83, F95)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from amp.public import pay_views
from billing.models import PaymentAttempt, Provider
from billing.services.account_changes import close_account
from billing.services.accounts import open_account
from tests.gateways.process import APP_SECRET, OPENID, Gateways, gateway_process, gateways, wechat_secret
from tests.rules.browsers import WECHAT_AGENT
from tests.services.gateway import books_in_order, wire
from tests.services.payers import Payer, connect, paid_at_gateway
from tests.services.shop import ACTOR, NOW, Loopback, Shop, open_shop
from tests.services.wallet_world import in_alipay, in_system_scope, in_wechat, path_to, real, shop

__all__ = ["books_in_order", "gateway_process", "gateways", "in_system_scope", "real", "shop", "wire"]
pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


# --- WeChat's way back -----------------------------------------------------------------------------------------------


def asked(real: Gateways) -> int:
    """How often WeChat's server was asked who pays."""
    return len([call for call in real.say("calls") if "/sns/" in call])


def test_a_state_counts_for_its_own_link_alone_and_wechat_is_not_even_asked_F95(shop: Shop, real: Gateways) -> None:
    one, other = path_to(shop.order(device_ids=shop.ids[:1])), path_to(shop.order(device_ids=shop.ids[1:]))
    payer = Payer(WECHAT_AGENT)
    payer.open(one)
    back = payer.through_wechat()
    assert back.startswith(f"{one}/openid?")
    told = payer.open(back.replace(one, other))
    assert payer.page.status_code == 400
    assert "WeChat did not recognise this visit" in told
    assert asked(real) == 0
    assert not PaymentAttempt.objects.exists()
    assert f'href="{other}#go"' in payer.html, "and from there it starts anew, on its own page"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[:-1] + ("0" if state[-1] != "0" else "1"),
        lambda state: "0" * 16 + state[16:],
        lambda state: f"{state[:16]}{int(state[16:26]) + 60}{state[26:]}",
        lambda state: state[:26],
        lambda state: "",
        lambda state: "x" * 5_000,
        lambda state: f"{state[:16]}²²²²²²²²²²{state[26:]}",
    ],
    ids=["mac", "nonce", "moment", "short", "none", "long", "digits of another kind"],
)
def test_a_state_that_was_altered_is_refused_F95(shop: Shop, real: Gateways, change: Any) -> None:
    path = path_to(shop.order())
    payer = Payer(WECHAT_AGENT)
    payer.open(path)
    found = re.search(r"state=(\w+)", payer.through_wechat())
    assert found
    answer = payer.browser.get(f"{path}/openid", {"code": "c0de", "state": change(found[1])})
    assert answer.status_code == 400
    assert asked(real) == 0


def test_a_state_is_old_after_10_minutes_and_dies_with_the_account_it_was_made_for(
    shop: Shop, real: Gateways, wire: Loopback
) -> None:
    path = path_to(shop.order())
    payer = Payer(WECHAT_AGENT)
    payer.open(path)
    kept = payer.through_wechat()
    real.at(wire.at(10 * MINUTE + timedelta(seconds=1))[1])
    assert payer.browser.get(kept).status_code == 400
    real.at(wire.at(MINUTE)[1])
    payer.open(path)
    kept = payer.through_wechat()
    close_account(account=shop.merchant.accounts.get(provider="wechat"), actor=ACTOR, now=NOW)
    secret = wechat_secret(app_secret=APP_SECRET)
    open_account(merchant=shop.merchant, provider=Provider.WECHAT, secret=secret, actor=ACTOR, now=NOW)
    assert payer.browser.get(kept).status_code == 400
    assert asked(real) == 0


def test_coming_back_a_second_time_makes_no_second_payment(shop: Shop, real: Gateways) -> None:
    path = path_to(shop.order())
    payer = Payer(WECHAT_AGENT)
    payer.open(path)
    back = payer.through_wechat()
    assert payer.browser.get(back).status_code == 302
    assert payer.browser.get(back).status_code == 400, "WeChat takes a code once"
    assert PaymentAttempt.objects.count() == 1


def test_who_refuses_to_be_named_comes_back_to_the_page(shop: Shop) -> None:
    path = path_to(shop.order())
    answer = Payer(WECHAT_AGENT).browser.get(f"{path}/openid", {"state": "x"})
    assert (answer.status_code, answer["Location"]) == (302, path)


@pytest.mark.parametrize("fault", ["lost_request", "server_error"])
def test_where_wechat_does_not_answer_nothing_is_made_and_it_may_be_tried_again(
    shop: Shop, real: Gateways, fault: str
) -> None:
    path = path_to(shop.order())
    payer = Payer(WECHAT_AGENT)
    payer.open(path)
    real.say("fail", fault=fault, verb="openid")
    told = payer.open(payer.through_wechat())
    assert payer.page.status_code == 502
    assert "Nothing was charged. Try again in a moment." in told
    assert not PaymentAttempt.objects.exists()
    payer.open(path)
    payer.open(payer.through_wechat())
    assert payer.parameters


def test_a_wrong_app_secret_is_told_in_words_and_appears_nowhere_F83(
    real: Gateways, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shop, wrong = open_shop(), "dead" * 8
    connect(shop.merchant, "wechat", app_secret=wrong)
    payer = Payer(WECHAT_AGENT)
    payer.open(path_to(shop.order()))
    payer.open(payer.through_wechat())
    assert payer.page.status_code == 400
    assert wrong not in payer.html + caplog.text


def test_the_script_page_shows_no_payment_of_another_order_R6(shop: Shop) -> None:
    one, other = path_to(shop.order(device_ids=shop.ids[:1])), path_to(shop.order(device_ids=shop.ids[1:]))
    in_wechat(one)
    number = PaymentAttempt.objects.get().number
    answer = Client().get(f"{other}/wechat/{number}")
    assert (answer.status_code, answer["Location"]) == (302, other)
    assert Client().get(f"{one}/wechat/{number}").status_code == 200
    in_alipay(one)
    number = PaymentAttempt.objects.get(provider="alipay").number
    assert Client().get(f"{one}/wechat/{number}").status_code == 302


def test_the_readers_language_survives_the_way_through_wechat(shop: Shop) -> None:
    path = path_to(shop.order())
    payer = Payer(WECHAT_AGENT)
    payer.open(f"{path}?lang=zh-hans")
    payer.open(payer.through_wechat())
    assert payer.page["Content-Language"] == "zh-hans"
    assert payer.parameters


def test_a_partners_payer_is_known_by_the_enterprises_own_application(real: Gateways) -> None:
    shop, own = open_shop(), "wx7777777777777777"
    secret = wechat_secret(is_partner=True, sub_appid=own, app_secret=APP_SECRET)
    open_account(merchant=shop.merchant, provider=Provider.WECHAT, secret=secret, actor=ACTOR, now=NOW)
    real.say("app", appid=own, secret=APP_SECRET, host="testserver")
    payer = in_wechat(path_to(shop.order()))
    [trade] = real.books()
    assert trade["request"]["payer"] == {"sub_openid": OPENID}
    assert paid_at_gateway(real, payer.parameters) == [200]


def test_a_payment_that_settles_while_the_page_is_read_is_no_payment_that_differs(
    shop: Shop, real: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that says so would stop following."""
    order = shop.order()
    path = path_to(order)
    payer = in_alipay(path)
    link = payer.link

    def settled_meanwhile(attempts: Any) -> bool:
        return bool(paid_at_gateway(real, link))

    monkeypatch.setattr(pay_views, "ask_gateways", settled_meanwhile)
    assert "Payment received" in payer.open(path)
