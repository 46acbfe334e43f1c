"""The page that plays the gateway: it pays, makes trouble when asked to, and trusts no link (F96)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from billing.models import PaymentException, SandboxTrade
from billing.providers.sandbox_wire import read_ticket, write_ticket
from billing.services.accounts import gateway_of, notify_url
from billing.services.sandbox import Trouble
from tests.services.gateway import books_in_order, page_of, refusals, shop, status_of, wire
from tests.services.shop import MINUTE, Loopback, Shop, money

__all__ = ["books_in_order", "shop", "wire"]


def test_the_pay_page_says_TEST_shows_seller_and_amount_and_creates_nothing(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    page = Client().get(page_of(attempt))
    text = page.content.decode()
    assert page.status_code == 200
    for shown in ("TEST: no real money moves", "Maker Ltd", "¥199.00", attempt.order.number, "Try a problem"):
        assert shown in text
    assert "<script" not in text
    assert (page["Cache-Control"], page["X-Robots-Tag"]) == ("no-store", "noindex")
    assert not SandboxTrade.objects.exists()


def test_pressing_pay_pays_and_leads_back_to_where_the_payment_was_started(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt(return_path="/r/token/result")
    client = Client()
    pressed = client.post(page_of(attempt))
    assert (pressed.status_code, pressed["Location"]) == (302, f"/pay/return/{attempt.number}")
    assert client.get(pressed["Location"])["Location"] == "/r/token/result"
    assert status_of(attempt) == ("PAID", "PAID")
    assert "Paid" in client.get(page_of(attempt)).content.decode()
    client.post(page_of(attempt))
    assert money(attempt.order) == {"RECEIVED": 19_900}
    assert client.get("/pay/return/UNKNOWN").status_code == 404


def test_the_pay_button_needs_the_pages_own_token(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert Client(enforce_csrf_checks=True).post(page_of(attempt)).status_code == 403
    assert not SandboxTrade.objects.exists()


@pytest.mark.parametrize(
    ("trouble", "after", "booked", "case"),
    [
        (Trouble.TWICE, ("PAID", "PAID"), {"RECEIVED": 19_900}, None),
        (Trouble.WRONG_AMOUNT, ("PENDING", "PAID"), {"RECEIVED": 19_899, "UNAPPLIED": 19_899}, "AMOUNT_MISMATCH"),
        (Trouble.FORGED, ("PENDING", "PENDING"), {}, None),
        (Trouble.DROPPED, ("PENDING", "PENDING"), {}, None),
        (Trouble.DELAYED, ("PENDING", "PENDING"), {}, None),
        (Trouble.LATE, ("PAID", "PAID"), {"RECEIVED": 19_900}, None),
        (Trouble.SECOND, ("PAID", "PAID"), {"RECEIVED": 39_800, "UNAPPLIED": 19_900}, "SECOND_PAYMENT"),
    ],
)
def test_each_problem_button_does_what_it_says(
    shop: Shop, wire: Loopback, trouble: Trouble, after: tuple[str, str], booked: dict[str, int], case: str | None
) -> None:
    attempt = shop.attempt()
    assert Client().post(page_of(attempt), {"trouble": trouble.value}).status_code == 302
    assert status_of(attempt) == after
    assert money(attempt.order) == booked
    assert list(PaymentException.objects.values_list("kind", flat=True)) == ([case] if case else [])
    assert len(wire.paths) == {Trouble.TWICE: 2, Trouble.SECOND: 2, Trouble.DROPPED: 0, Trouble.DELAYED: 0}.get(
        trouble, 1
    )
    assert len(refusals()) == (trouble is Trouble.FORGED)


def test_a_code_that_has_ended_is_not_paid(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.at(31 * MINUTE)
    assert "has ended" in Client().get(page_of(attempt)).content.decode()
    assert Client().post(page_of(attempt)).status_code == 410
    assert status_of(attempt) == ("PENDING", "PENDING")


@pytest.mark.parametrize("path", ["x", "x.y", "W10.AAAA", "%00", "." * 50, "a" * 3_000, "bnVsbA.AAAA"])
def test_a_link_that_nobody_signed_is_refused_with_a_sentence(shop: Shop, wire: Loopback, path: str) -> None:
    answer = Client().get(f"/sandbox/pay/{path}")
    assert answer.status_code == 410
    assert "Ask the seller for a new one" in answer.content.decode()


def test_a_link_with_another_amount_is_refused(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    secret = gateway_of(attempt.account)._credentials.secret  # type: ignore[attr-defined]
    own = page_of(attempt).rsplit("/", 1)[1]
    cheap = write_ticket(b"guessed", read_ticket(secret, own)._replace(amount=1))
    assert Client().post(f"/sandbox/pay/{cheap}").status_code == 410
    body, signature = cheap.split(".")[0], own.split(".")[1]
    assert Client().post(f"/sandbox/pay/{body}.{signature}").status_code == 410
    assert not SandboxTrade.objects.exists()


def test_even_a_signed_link_leads_only_to_our_own_site_F96(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    secret = gateway_of(attempt.account)._credentials.secret  # type: ignore[attr-defined]
    own = read_ticket(secret, page_of(attempt).rsplit("/", 1)[1])
    for path in ("//evil.example", "https://evil.example", "/\\evil.example"):
        signed = write_ticket(secret, own._replace(return_path=path))
        assert Client().post(f"/sandbox/pay/{signed}")["Location"] == f"/sandbox/pay/{signed}"


def test_where_the_sandbox_is_off_it_does_not_exist(shop: Shop, wire: Loopback, settings: Any) -> None:
    attempt = shop.attempt()
    settings.SANDBOX_ENABLED = False
    assert Client().get(page_of(attempt)).status_code == 404
    assert Client().post(page_of(attempt)).status_code == 404
    assert Client().post("/sandbox/gateway/query").status_code == 404


def test_links_and_notices_use_the_configured_address_whatever_host_is_asked_F96(
    shop: Shop, wire: Loopback, settings: Any
) -> None:
    settings.BASE_URL = "https://pay.example"
    attempt = shop.attempt()
    assert attempt.code.startswith("https://pay.example/sandbox/pay/")
    assert notify_url(attempt.account).startswith("https://pay.example/pay/notify/sandbox/")
