"""The sandbox's notices: only what the gateway signed just now pays, and it pays once (F24, F28, F29, F38)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from amp.foundation.models import Event
from billing.providers.sandbox_wire import signed_headers
from billing.services.accounts import gateway_of, notify_url
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.notices import MAX_EVENTS_PER_MINUTE
from tests.services.gateway import Notice, books_in_order, notice_of, refusals, shop, status_of, wire
from tests.services.shop import MINUTE, NOW, WALL, Loopback, Shop, money, open_shop, paid_periods

__all__ = ["books_in_order", "shop", "wire"]


def test_a_signed_notice_pays_and_a_repeated_one_gets_the_same_answer_F24(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    assert [notice.send() for _ in range(3)] == [(200, b"success")] * 3
    assert notice_of(attempt, wall=WALL + MINUTE).send() == (200, b"success")
    assert status_of(attempt) == ("PAID", "PAID")
    fulfil_paid_orders(now=NOW)
    assert notice.send() == (200, b"success")
    assert fulfil_paid_orders(now=NOW + timedelta(hours=1)) == 0
    assert paid_periods(shop) == 1
    assert money(attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
    assert refusals() == []


def _bit_flipped(notice: Notice) -> Notice:
    signature = bytearray.fromhex(notice.headers["X-Sandbox-Signature"])
    signature[-1] ^= 1
    return _with(notice, Signature=signature.hex())


def _with(notice: Notice, **headers: str) -> Notice:
    changed = {f"X-Sandbox-{name}": value for name, value in headers.items()}
    return notice._replace(headers=notice.headers | changed)


FORGERIES: dict[str, Callable[[Notice], Notice]] = {
    "no signature": lambda notice: notice._replace(headers={}),
    "empty signature": lambda notice: _with(notice, Signature=""),
    "not hexadecimal": lambda notice: _with(notice, Signature="zz" * 32),
    "one bit flipped": _bit_flipped,
    "cut short": lambda notice: _with(notice, Signature=notice.headers["X-Sandbox-Signature"][:32]),
    "altered body": lambda notice: notice._replace(body=notice.body.replace(b"19900", b"19901")),
    "the same meaning in other bytes": lambda notice: notice._replace(body=notice.body + b" "),
    "another timestamp": lambda notice: _with(notice, Timestamp=str(int(WALL.timestamp()) + 1)),
    "another nonce": lambda notice: _with(notice, Nonce="0" * 32),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_notice_changes_nothing_but_the_security_record_F28(shop: Shop, wire: Loopback, forgery: str) -> None:
    attempt = shop.attempt()
    status, _ = FORGERIES[forgery](notice_of(attempt)).send()
    assert status == 401
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert money(attempt.order) == {}
    assert len(refusals()) == 1
    event = Event.objects.get(kind="payment.refused_notice")
    assert event.enterprise_id == shop.enterprise.pk


def test_without_the_signature_check_each_forgery_would_have_paid(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it is the check that stops them, not some other field."""
    monkeypatch.setattr("billing.providers.sandbox.check_headers", lambda *_, **__: None)
    attempt = shop.attempt()
    assert notice_of(attempt)._replace(headers={}).send() == (200, b"success")
    assert status_of(attempt) == ("PAID", "PAID")


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
def test_a_notice_outside_300_seconds_of_real_time_is_refused_F28(shop: Shop, wire: Loopback, seconds: int) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, wall=WALL + timedelta(seconds=seconds)).send()[0] == 401
    assert refusals() == ["The timestamp is outside the window."]
    assert notice_of(attempt, wall=WALL + timedelta(seconds=seconds // abs(seconds) * 299)).send()[0] == 200


def test_an_old_notice_that_is_replayed_is_refused_F28(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    assert notice.send()[0] == 200
    wire.at(6 * MINUTE)
    assert notice.send()[0] == 401


def test_the_test_clock_moves_no_signature_window(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.now = NOW + timedelta(minutes=20)  # the product's time; real time stays
    assert notice_of(attempt).send()[0] == 200


def test_a_notice_signed_with_another_merchants_key_is_refused_F29(shop: Shop, wire: Loopback) -> None:
    other = open_shop(name="Other")
    mine, theirs = shop.attempt(), other.attempt()
    # Their key, on their own address and on mine.
    stolen = notice_of(mine, account=theirs.account)
    assert stolen.send()[0] == 403
    assert stolen.send(path=notice_of(mine).path)[0] == 401
    # My key on their address.
    assert notice_of(mine).send(path=notice_of(theirs).path)[0] == 401
    assert status_of(mine) == ("PENDING", "PENDING")
    assert len(refusals()) == 3


def test_a_payment_nobody_asked_for_and_an_unknown_account_are_refused(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, number="A" * 24).send()[0] == 403
    assert notice_of(attempt).send(path=f"/pay/notify/sandbox/{uuid.uuid4()}")[0] == 404
    assert notice_of(attempt).send(path=notice_of(attempt).path.replace("sandbox", "wechat"))[0] == 404
    assert len(refusals()) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": "NaN"},
        {"amount": 10**18},
        {"amount": None},
        {"currency": "CNYX"},
        {"transaction": ""},
        {"transaction": "x" * 65},
        {"paid_at": "yesterday"},
        {"state": "MAYBE"},
    ],
)
def test_signed_nonsense_is_refused_and_never_an_error_500_F38(
    shop: Shop, wire: Loopback, change: dict[str, Any]
) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, **change).send()[0] == 401
    assert status_of(attempt) == ("PENDING", "PENDING")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 60_000])
def test_signed_rubbish_is_refused_and_never_an_error_500(shop: Shop, wire: Loopback, body: bytes) -> None:
    account = shop.attempt().account
    secret = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=WALL)
    path = notify_url(account).removeprefix("http://testserver")
    assert Notice(path, body, headers).send()[0] == 401


def test_a_notice_of_more_than_64_kb_is_not_read(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, filler="x" * 65_536).send()[0] == 413
    assert Client().get(notice_of(attempt).path).status_code == 405
    assert refusals() == []


def test_a_flood_of_forgeries_leaves_a_bounded_record(shop: Shop, wire: Loopback) -> None:
    forged = notice_of(shop.attempt())._replace(headers={})
    answers = {forged.send()[0] for _ in range(MAX_EVENTS_PER_MINUTE + 5)}
    assert answers == {401}
    assert len(refusals()) == MAX_EVENTS_PER_MINUTE
