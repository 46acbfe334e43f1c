"""What goes between the product and the sandbox: signed for one question, and over real sockets (R6)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from billing.models import Order
from billing.orders import GatewayState
from billing.providers import sandbox_wire
from billing.providers.protocol import GatewayRefused, GatewayTimeout
from billing.providers.sandbox_wire import SignatureRefused, Ticket, read_ticket, signed_headers, write_ticket
from billing.services.accounts import gateway_of
from billing.services.fulfilment import fulfil_paid_orders
from tests.services.gateway import books_in_order, page_of, shop, wire
from tests.services.shop import NOW, WALL, Loopback, Shop, open_shop, paid_periods

__all__ = ["books_in_order", "shop", "wire"]
SECRET = b"k" * 32


# --- signatures -------------------------------------------------------------------------------------------------------


def test_an_answer_that_the_gateway_did_not_sign_for_this_question_is_no_answer(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = shop.attempt()
    gateway, post, kept = gateway_of(attempt.account), wire.post, []

    def replay(url: str, **options: Any) -> Any:
        kept.append(post(url, **options))
        return kept[0]

    monkeypatch.setattr("requests.post", replay)
    assert gateway.query(attempt.number, wall=WALL).state is GatewayState.NOT_FOUND
    with pytest.raises(GatewayTimeout, match="not signed"):
        gateway.query(attempt.number, wall=WALL)


def test_one_merchant_learns_nothing_of_anothers_trade_R6(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    Client().post(page_of(attempt))
    other = gateway_of(open_shop(name="Other").attempt().account)
    assert other.query(attempt.number, wall=WALL).state is GatewayState.NOT_FOUND
    with pytest.raises(GatewayRefused):
        other.refund(attempt.number, refund_number="REFUND09", amount=1, wall=WALL)


def test_a_pay_link_is_no_notice_and_a_request_is_no_answer() -> None:
    ticket = Ticket("a" * 32, "N" * 12, 1, "CNY", "Plan", "", NOW)
    assert read_ticket(SECRET, write_ticket(SECRET, ticket)) == ticket
    headers = signed_headers(SECRET, purpose="request:query", account="a" * 32, body=b"{}", wall=WALL)
    with pytest.raises(SignatureRefused):
        sandbox_wire.check_headers(SECRET, headers, purpose="notice", account="a" * 32, body=b"{}", wall=WALL)
    with pytest.raises(SignatureRefused):
        read_ticket(b"other", write_ticket(SECRET, ticket))


# --- over real sockets ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_payment_over_real_http_renews_the_device(live_server: Any, settings: Any) -> None:
    """From pressing Pay to the renewed device, with our own server on both ends and real clocks."""
    import requests

    from amp.foundation import clock

    settings.BASE_URL = live_server.url
    shop = open_shop()
    order = shop.order(now=clock.now())
    attempt = shop.attempt(order, now=clock.now(), wall=clock.wall(), return_path="/back")
    session = requests.Session()
    token = _csrf(session.get(attempt.code, timeout=10).text)
    pressed = session.post(attempt.code, data={"csrfmiddlewaretoken": token}, timeout=10, allow_redirects=False)
    assert (pressed.status_code, pressed.headers["Location"]) == (302, f"/pay/return/{attempt.number}")
    order = Order.objects.get(pk=order.pk)
    assert order.status == "PAID"
    fulfil_paid_orders(now=clock.now())
    assert paid_periods(shop) == 1
    gateway = gateway_of(attempt.account)
    assert gateway.query(attempt.number, wall=clock.wall()).state is GatewayState.PAID


def _csrf(page: str) -> str:
    return page.split('name="csrfmiddlewaretoken" value="', 1)[1].split('"', 1)[0]
