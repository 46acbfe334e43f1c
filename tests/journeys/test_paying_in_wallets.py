"""A phone in WeChat, in Alipay and in its own browser, with Chromium under the pages' own policy, at the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from billing.models import Order, PaymentAttempt
from billing.services.fulfilment import fulfil_paid_orders
from devices.models import Command
from tests import factories
from tests.gateways.process import APP_SECRET, APPID, OPENID, Gateways, gateway_process, gateways
from tests.rules.browsers import ALIPAY_AGENT, CHROME, DESKTOP, WECHAT_AGENT
from tests.services.payers import connect, scanned
from tests.services.visiting import Visit

__all__ = ["gateway_process", "gateways"]
pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

BRIDGE = """window.WeixinJSBridge = { invoke: (name, parameters, done) =>
    window.inWallet(name, JSON.stringify(parameters)).then((word) => done({ err_msg: `${name}:${word}` })) };"""
"""What WeChat puts into its pages; the wallet behind it is the test's."""
WALLET = "<!doctype html><link rel=icon href='data:,'><title>Wallet</title>"
Opens = Callable[..., Page]


@pytest.fixture
def visit(live_server: LiveServer, settings: Any, gateways: Gateways) -> Iterator[Visit]:
    """An expired device, whose seller has both wallets."""
    settings.BASE_URL = live_server.url
    gateways.say("app", appid=APPID, secret=APP_SECRET, host="localhost")
    with system_scope():
        made = Visit(factories.make_product(now=factories.NOW)).over()
        made.online()
        made.report(True)
        made.plan()
        connect(made.device.product.enterprise.merchants.get(), "wechat", "alipay")
        yield made


@pytest.fixture
def opens(browser: Browser) -> Iterator[Opens]:
    """A page in a browser with that user agent; nothing that it does may break the policy or fail."""
    contexts, said = [], []

    def page(agent: str, script: str = "", **size: int) -> Page:
        context = browser.new_context(user_agent=agent, locale="en-GB", viewport={"width": 390, "height": 844} | size)
        contexts.append(context)
        made = context.new_page()
        made.on("console", lambda told: said.append(told.text) if told.type == "error" else None)
        made.on("pageerror", lambda error: said.append(str(error)))
        if script:
            made.add_init_script(script)
        return made

    yield page
    for context in contexts:
        context.close()
    assert said == []


def renewed(visit: Visit) -> None:
    """The order is fulfilled, and the unlock on its way."""
    fulfil_paid_orders(now=clock.now())
    assert Order.objects.get().status == "FULFILLED"
    assert Command.objects.filter(device=visit.device, kind="UNLOCK").exists()


def test_inside_wechat_the_payer_is_known_pays_in_the_wallet_and_comes_back_to_the_renewal(
    visit: Visit, opens: Opens, live_server: LiveServer, gateways: Gateways
) -> None:
    """Three taps: the plan's button, the wallet's confirmation, done. WeChat's word is not believed (Q3)."""
    page, invoked = opens(WECHAT_AGENT, BRIDGE), list[str]()

    def in_wallet(name: str, parameters: str) -> str:
        invoked.append(name)
        if len(invoked) > 1:
            gateways.pay(parameters, payer=OPENID)
            assert gateways.say("deliver") == [200]
        return "ok"  # also where nothing was paid

    page.expose_function("inWallet", in_wallet)
    page.goto(f"{live_server.url}{visit.path}")
    page.get_by_role("button", name="Pay with WeChat Pay").click()
    page.wait_for_url("**/r/*/orders/*")
    expect(page.get_by_text("Waiting for your payment")).to_be_visible()
    assert Order.objects.get().status == "PENDING"
    page.get_by_role("link", name="Pay ¥199.00 with WeChat Pay").click()
    expect(page.get_by_text("Payment received")).to_be_visible()
    assert invoked == ["getBrandWCPayRequest"] * 2
    assert PaymentAttempt.objects.get().payer_id == OPENID
    renewed(visit)
    expect(page.get_by_text("Service extended")).to_be_visible()


def test_the_script_page_outside_wechat_says_what_to_do(visit: Visit, opens: Opens, live_server: LiveServer) -> None:
    page = opens(WECHAT_AGENT)
    page.goto(f"{live_server.url}{visit.path}")
    page.get_by_role("button", name="Pay with WeChat Pay").click()
    page.wait_for_url("**/p/*/wechat/*")
    expect(page.get_by_text("WeChat does not answer here.")).to_be_visible()


def test_a_code_on_a_screen_is_scanned_with_alipay_which_opens_by_itself_and_the_screen_follows(
    visit: Visit, opens: Opens, live_server: LiveServer, gateways: Gateways
) -> None:
    screen = opens(DESKTOP, width=1440, height=900)
    screen.goto(f"{live_server.url}{visit.path}")
    screen.get_by_role("button", name="Pay").click()
    expect(screen.get_by_text("Scan with WeChat or Alipay")).to_be_visible()
    code = scanned(screen.content())
    assert code.startswith(f"{live_server.url}/p/")
    phone = opens(ALIPAY_AGENT)
    phone.route("**/gateway.do?**", lambda route: route.fulfill(status=200, content_type="text/html", body=WALLET))
    with phone.expect_request("**/gateway.do?**") as asked:
        phone.goto(code)
    request: Request = asked.value
    assert "alipay.trade.wap.pay" in request.url
    assert request.header_value("referer") is None
    gateways.pay(request.url)
    assert gateways.say("deliver") == [200]
    expect(screen.get_by_text("Payment received")).to_be_visible()
    assert screen.locator("svg").count() == 0, "a code that is paid is shown no longer"
    renewed(visit)


def test_wechats_page_in_a_phones_browser_is_opened_with_our_origin_and_back_does_not_open_it_again(
    visit: Visit, opens: Opens, live_server: LiveServer, gateways: Gateways
) -> None:
    page, heard = opens(CHROME), list[dict[str, str]]()

    def wallet(route: Any) -> None:
        heard.append(route.request.all_headers())
        route.fulfill(status=200, content_type="text/html", body=WALLET)

    page.route("https://wx.tenpay.com/**", wallet)
    page.goto(f"{live_server.url}{visit.path}")
    page.get_by_role("button", name="Pay with WeChat Pay").click()
    page.wait_for_url("https://wx.tenpay.com/**")
    assert [each["referer"] for each in heard] == [f"{live_server.url}/"]
    page.go_back()
    page.wait_for_url("**/r/*/orders/*")
    expect(page.get_by_role("link", name="Pay ¥199.00 with WeChat Pay")).to_be_visible()
    expect(page.get_by_role("button", name="Pay ¥199.00 with Alipay")).to_be_visible()
    assert len(heard) == 1
    gateways.pay(PaymentAttempt.objects.get().code.partition("&redirect_url=")[0])
    assert gateways.say("deliver") == [200]
    expect(page.get_by_text("Payment received")).to_be_visible()
    renewed(visit)
