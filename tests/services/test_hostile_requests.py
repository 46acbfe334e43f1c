"""What hostile senders try where nobody signs in: a 4xx, never a 500, and nothing changed (F28, F38)."""

from __future__ import annotations

import base64
import logging
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from amp.foundation.models import Event
from billing.models import MerchantAccount, PaymentAttempt, SandboxTrade
from billing.providers.sandbox_wire import _mac, read_ticket, write_ticket
from billing.services.accounts import gateway_of
from billing.services.polling import expire_due_orders, poll_due_attempts
from tests.services.gateway import Notice, books_in_order, notice_of, page_of, refusals, shop, status_of, wire
from tests.services.shop import MINUTE, Loopback, Shop, open_shop

__all__ = ["books_in_order", "shop", "wire"]

INEXACT: tuple[Any, ...] = (
    19_900.9,
    19_900.0,
    "19900",
    " 19900 ",
    "١٩٩٠٠",
    True,
    1e300,
    float("inf"),
    float("nan"),
    -1,
)
NOT_WORDS: tuple[Any, ...] = ("A\x00B", "\ud800", ["x"], None, 5, "x" * 5_000, "")
UNWRITABLE = (
    [{"amount": each} for each in INEXACT]
    + [{name: each} for name in ("number", "merchant", "currency", "transaction", "state") for each in NOT_WORDS]
    + [{"paid_at": each} for each in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-01", 5, None)]
)


def secret_of(attempt: PaymentAttempt) -> bytes:
    secret: bytes = gateway_of(attempt.account)._credentials.secret  # type: ignore[attr-defined]
    return secret


def test_a_signed_notice_is_exact_or_refused_whatever_it_carries_F30_F38(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    answers = {repr(change): notice_of(attempt, **change).send()[0] for change in UNWRITABLE}
    assert {change: status for change, status in answers.items() if status not in {401, 403}} == {}
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert notice_of(attempt).send()[0] == 200


@pytest.mark.parametrize("timestamp", ["9" * 400, "9" * 4_400, "1e5", "-5", "٣", ""])
def test_a_signed_timestamp_that_is_no_moment_is_refused_F28(shop: Shop, wire: Loopback, timestamp: str) -> None:
    notice = notice_of(shop.attempt())
    account = PaymentAttempt.objects.get().account
    nonce = notice.headers["X-Sandbox-Nonce"]
    stamp = timestamp.encode().decode("latin-1")  # as a server hands on what came over the wire
    mac = _mac(secret_of(PaymentAttempt.objects.get()), "notice", account.public_id.hex, stamp, nonce, notice.body)
    changed = {"X-Sandbox-Timestamp": stamp, "X-Sandbox-Signature": mac.hex()}
    assert notice.send(headers=notice.headers | changed)[0] == 401


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_a_notice_is_posted_or_it_is_none(shop: Shop, wire: Loopback, method: str) -> None:
    notice = notice_of(shop.attempt())
    assert getattr(Client(), method)(notice.path).status_code == 405
    assert refusals() == []


def test_a_cookie_or_a_host_of_the_senders_making_changes_no_answer(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    tricks = ({"Cookie": 'sessionid="abcdefgh\\000"'}, {"X-Forwarded-For": "\x00"}, {"Content-Encoding": "gzip"})
    forged = Notice(notice.path, notice.body, {})
    assert [forged.send(headers=trick)[0] for trick in tricks] == [401] * 3
    assert [notice.send(headers=notice.headers | trick)[0] for trick in tricks] == [200] * 3
    assert Client(headers={"cookie": 'sessionid="abcdefgh\\000"'}).get("/r/unknown").status_code == 404
    assert Client(headers={"host": "evil.example"}).post(notice.path).status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"), [("/admin/", 302), ("/admin/login/", 200), ("/api/v1/me", 401), ("/health/live", 200)]
)
def test_a_session_that_can_not_be_is_nobodys(path: str, status: int) -> None:
    """PostgreSQL takes a NUL for an error: it is dropped before anybody asks who is signed in."""
    assert Client(headers={"cookie": 'sessionid="abcdefghijkl\\000mnop"'}).get(path).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/pay/return/%00",
        "/pay/return/" + "x" * 4_000,
        "/pay/notify/sandbox/%00",
        f"/pay/notify/%00/{uuid.UUID(int=0)}",
        "/sandbox/gateway/%00",
        "/r/%00",
        "/r/%ff/orders/%00",
    ],
)
def test_an_address_of_junk_is_refused(shop: Shop, wire: Loopback, path: str) -> None:
    assert {Client().get(path).status_code, Client().post(path).status_code} <= {401, 404, 405}


def test_test_money_renews_nothing_once_the_sandbox_is_off(shop: Shop, wire: Loopback, settings: Any) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    settings.SANDBOX_ENABLED = False
    assert notice.send()[0] == 404
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert refusals() == ["unknown account"]


def test_an_accounts_own_key_signs_no_link_for_the_number_of_another_F29(shop: Shop, wire: Loopback) -> None:
    mine, theirs = shop.attempt(), open_shop(name="Other").attempt()
    Client().post(page_of(mine), {"trouble": "dropped"})
    own = read_ticket(secret_of(theirs), page_of(theirs).rsplit("/", 1)[1])
    stolen = f"/sandbox/pay/{write_ticket(secret_of(theirs), own._replace(number=mine.number))}"
    assert Client().post(stolen).status_code == 410
    assert "Paid" not in Client().get(stolen).content.decode()
    assert SandboxTrade.objects.get().account == mine.account


def test_a_payment_that_cannot_be_asked_about_holds_up_no_other(shop: Shop, wire: Loopback) -> None:
    """Its secret can't be opened, say after a wrong AMP_FIELD_KEY: the ones behind it are asked about all the same."""
    poison, good = shop.attempt(), open_shop(name="Other").attempt()
    MerchantAccount.objects.filter(pk=poison.account_id).update(sealed_secret=good.account.sealed_secret)
    Client().post(page_of(good), {"trouble": "dropped"})
    now, wall = wire.at(timedelta(seconds=11))
    assert poll_due_attempts(now=now, wall=wall) == 2
    assert status_of(good) == ("PAID", "PAID")
    planned = PaymentAttempt.objects.get(pk=poison.pk).due_at
    assert planned is not None
    assert planned > now
    now, wall = wire.at(31 * MINUTE)
    expire_due_orders(now=now, wall=wall)
    assert status_of(poison) == ("PENDING", "PENDING")
    now, wall = wire.at(100 * MINUTE)
    expire_due_orders(now=now, wall=wall)
    assert status_of(poison)[0] == "EXPIRED"


def test_a_merchants_secret_reaches_no_page_log_event_or_address_F83(
    shop: Shop, wire: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    attempt = shop.attempt()
    browser = Client()
    browser.force_login(shop.user)
    notice_of(attempt)._replace(headers={}).send()
    shown = [browser.get(page_of(attempt)), browser.post(page_of(attempt), {"trouble": "dropped"})]
    wire.lost_requests = ("/sandbox/gateway/",)
    poll_due_attempts(now=wire.at(MINUTE)[0], wall=wire.wall)
    wire.lost_requests = ()
    shown.append(browser.post(page_of(attempt)))
    for path in (f"billing/order/{attempt.order_id}", f"billing/paymentattempt/{attempt.pk}"):
        shown.append(browser.get(f"/admin/{path}/change/"))
    shown.append(browser.get("/admin/foundation/event/"))
    assert {answer.status_code for answer in shown} <= {200, 302}
    events = [str(row) for row in Event.objects.values()]
    told = "\n".join([caplog.text, *events, *wire.paths, *(f"{a.headers}{a.content.decode()}" for a in shown)])
    assert "could not be queried" in told
    secret, sealed = secret_of(attempt), attempt.account.sealed_secret
    for form in (secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1], sealed):
        assert form not in told
