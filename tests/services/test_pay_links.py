"""One code for both wallets: the pay page behind it, who gets to see it (F31, F85)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from billing.models import Order, PaymentAttempt, PaymentException, PaymentLink, Refund
from billing.orders import OrderStatus
from billing.services.account_changes import close_account
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.links import AFTERWARDS, link_for_token, link_to
from billing.services.ordering import OrderRefused, cancel_order
from billing.services.polling import poll_due_attempts
from billing.wallets import Browser
from tests.gateways.process import OPENID, Gateways, gateway_process, gateways
from tests.rules.browsers import ALIPAY_AGENT, CHROME, DESKTOP, WECHAT_AGENT
from tests.services.benches import deliver
from tests.services.gateway import books_in_order, wire
from tests.services.payers import Payer, open_payments, paid_at_gateway
from tests.services.shop import ACTOR, NOW, Loopback, Shop, paid_periods
from tests.services.visiting import rows, words
from tests.services.wallet_world import in_alipay, in_system_scope, in_wechat, path_to, real, shop

__all__ = ["books_in_order", "gateway_process", "gateways", "in_system_scope", "real", "shop", "wire"]
pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


# --- one code, two wallets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wallet", ["wechat", "alipay"])
def test_either_wallet_scans_the_code_on_a_screen_and_pays_in_its_own_way(
    shop: Shop, real: Gateways, wire: Loopback, wallet: str
) -> None:
    order = shop.order()
    path = path_to(order)
    computer = Payer(DESKTOP)
    assert "Scan with WeChat or Alipay" in computer.open(path)
    assert computer.code == f"http://testserver{path}#go"
    assert open_payments(order) == [], "a screen that shows the code begins no payment"
    payer = in_wechat(path) if wallet == "wechat" else in_alipay(path)
    assert open_payments(order) == [(wallet, "IN_APP", "PENDING")]
    assert paid_at_gateway(real, payer.parameters if wallet == "wechat" else payer.link) == [200]
    assert "Payment received" in payer.open(path)
    fulfil_paid_orders(now=wire.now)
    assert "Paid and renewed" in payer.open(path)
    assert paid_periods(shop) == 2
    assert computer.browser.get(f"{path}/status").json()["moving"] is False


def test_both_wallets_may_be_about_to_pay_and_neither_ends_the_other_F31(
    shop: Shop, real: Gateways, wire: Loopback
) -> None:
    order = shop.order()
    path = path_to(order)
    wechat, alipay = in_wechat(path), in_alipay(path)
    for later in (MINUTE, 2 * MINUTE):
        now, wall = wire.at(later)
        real.at(wall)
        poll_due_attempts(now=now, wall=wall)
    assert {each[2] for each in open_payments(order)} == {"PENDING"}
    assert wechat.open(wechat.page.request["PATH_INFO"])
    assert wechat.parameters
    assert "alipay.trade.wap.pay" in (alipay.open(path) and alipay.link)


@pytest.mark.parametrize("first", ["wechat", "alipay"])
def test_when_one_wallet_has_paid_the_other_payment_is_asked_about_closed_and_asked_again_F31(
    shop: Shop, real: Gateways, wire: Loopback, first: str
) -> None:
    order = shop.order()
    path = path_to(order)
    codes = {"wechat": in_wechat(path).parameters, "alipay": in_alipay(path).link}
    [other] = codes.keys() - {first}
    real.say("scan", code=codes["alipay"])  # a trade exists there once somebody looks at it
    paid_at_gateway(real, codes[first])
    before = len(real.say("calls"))
    assert PaymentAttempt.objects.get(provider=other).due_at == NOW, "the next poll is now"
    poll_due_attempts(now=wire.now, wall=wire.wall)
    assert len(real.say("calls")) - before == 3
    assert dict(PaymentAttempt.objects.values_list("provider", "status")) == {first: "PAID", other: "CLOSED"}
    answer = real.say("pay", code=codes[other], payer=OPENID)
    assert isinstance(answer, dict), "the gateway takes no money for it any more"


def test_a_second_payment_in_the_moment_before_is_booked_and_its_refund_proposed_F31(
    shop: Shop, real: Gateways, wire: Loopback
) -> None:
    order = shop.order()
    path = path_to(order)
    wechat, alipay = in_wechat(path), in_alipay(path)
    paid_at_gateway(real, wechat.parameters)
    real.pay(alipay.link, fault="dropped")  # its notice is lost as well
    poll_due_attempts(now=wire.now, wall=wire.wall)
    assert {each[2] for each in open_payments(order)} == {"PAID"}
    assert PaymentAttempt.objects.get(settles=True).provider == "wechat"
    assert PaymentException.objects.get().kind == "SECOND_PAYMENT"
    assert Refund.objects.get().attempt.provider == "alipay"
    fulfil_paid_orders(now=wire.now)
    assert paid_periods(shop) == 2, "renewed once"


def test_another_payer_in_the_same_wallet_takes_over_and_the_first_ones_code_ends(
    shop: Shop, real: Gateways, wire: Loopback
) -> None:
    order = shop.order()
    path = path_to(order)
    first = in_wechat(path).parameters
    real.say("sign_in", payer="oAnother_payer-0123456789ABC")
    in_wechat(path)
    poll_due_attempts(now=wire.now, wall=wire.wall)
    assert [each[2] for each in open_payments(order)] == ["CLOSED", "PENDING"]
    assert isinstance(real.say("pay", code=first, payer=OPENID), dict)


# --- who gets to see it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [WECHAT_AGENT, ALIPAY_AGENT, CHROME, DESKTOP], ids=[*Browser])
def test_looking_makes_nothing_sets_no_cookie_and_costs_the_same_F85(
    shop: Shop, agent: str, django_assert_num_queries: Any
) -> None:
    path = path_to(shop.order())
    before, payer = rows(), Payer(agent)
    queries = 5 if agent == WECHAT_AGENT else 4  # the one more is the account that WeChat is asked for
    with django_assert_num_queries(queries) as done:
        answer = payer.browser.get(path)
    assert rows() == before
    assert not [query for query in done.captured_queries if not query["sql"].startswith("SELECT")]
    assert not answer.cookies


def test_every_answer_is_private_and_runs_no_foreign_script_F85_F91(shop: Shop) -> None:
    path = path_to(shop.order())
    in_wechat(path)
    script = f"{path}/wechat/{PaymentAttempt.objects.get().number}"
    for each in (path, f"{path}/status", script, f"{path}/openid?code=1&state=1", "/p/unknown"):
        headers = Client().get(each).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in headers["X-Robots-Tag"]
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
    page = Client().get(script).content.decode()
    assert not re.search(r"\sstyle=|<style|<script(?! src)|\son[a-z]+=", page)


def test_unknown_malformed_and_dead_links_answer_alike_F85(shop: Shop) -> None:
    dead = shop.order()
    paths = [path_to(dead), "/p/unknown", "/p/", "/p/a/b/c", "/p/%00%ff", "/p/unknown/openid", "/p/unknown/wechat/X"]
    cancel_order(order=dead, actor=ACTOR, now=NOW)
    answers = [Client().get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    posted = Client().post(f"{paths[0]}/pay", {"wallet": "alipay"})
    assert (posted.status_code, posted.content) == (404, answers[0].content)
    assert "This payment link has ended" in words(posted)


def test_a_link_lives_with_its_order_and_a_day_after_the_payment(shop: Shop) -> None:
    order = shop.order()
    token = link_to(order=order, now=NOW)
    assert link_for_token(token, now=order.expires_at - timedelta(seconds=1))
    assert link_for_token(token, now=order.expires_at) is None
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.PAID.value, paid_at=NOW)
    assert link_for_token(token, now=NOW + AFTERWARDS - timedelta(seconds=1))
    assert link_for_token(token, now=NOW + AFTERWARDS) is None
    with pytest.raises(OrderRefused):
        link_to(order=order, now=NOW)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.PENDING.value, paid_at=None)


def test_a_link_is_random_found_again_and_never_stored_in_the_clear_F85(shop: Shop) -> None:
    one, other = shop.order(device_ids=shop.ids[:1]), shop.order(device_ids=shop.ids[1:])
    token = link_to(order=one, now=NOW)
    assert link_to(order=one, now=NOW) == token
    assert link_to(order=one, now=NOW, return_path="/r/secret/orders/x") != token
    assert link_to(order=other, now=NOW) != token
    assert len(token) >= 32
    stored = repr(list(PaymentLink.objects.values()))
    assert token not in stored
    assert "/r/secret" not in stored


def test_a_browser_that_can_pay_nothing_here_is_told_where_it_could(shop: Shop) -> None:
    close_account(account=shop.merchant.accounts.get(provider="wechat"), actor=ACTOR, now=NOW)
    path = path_to(shop.order())
    told = Payer(WECHAT_AGENT).open(path)
    assert "This seller can't be paid inside WeChat" in told
    assert "Open this page in your phone's browser" in told


def test_a_payment_of_a_wrong_amount_is_left_to_the_seller_and_asks_for_no_other(shop: Shop, real: Gateways) -> None:
    order = shop.order()
    path = path_to(order)
    payer = in_alipay(path)
    real.pay(payer.link, fault="wrong_amount")
    deliver(real.notices())
    assert "The seller checks your payment" in payer.open(path)
    assert payer.buttons == {}
    assert "data-go" not in payer.html
