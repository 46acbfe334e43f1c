"""The sandbox gateway as tests speak for it: its notices, its pay page, and what they left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from billing.invariants import violations
from billing.models import PaymentAttempt
from billing.providers.sandbox_wire import signed_headers
from billing.services.accounts import gateway_of, notify_url
from tests.services.shop import NOW, WALL, Loopback, Shop, open_shop


@pytest.fixture(autouse=True)
def books_in_order(db: None) -> Iterator[None]:
    """Whatever a test did, the books are in order afterwards (billing.invariants)."""
    with system_scope():
        yield
        assert violations() == []


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


class Notice(NamedTuple):
    """A notice as it goes over the wire."""

    path: str
    body: bytes
    headers: dict[str, str]

    def send(self, **changes: Any) -> tuple[int, bytes]:
        """POST it, changed or not; (status, body) of the answer."""
        sent = self._replace(**changes)
        answer = Client(enforce_csrf_checks=True).post(
            sent.path, data=sent.body, content_type="application/json", headers=sent.headers
        )
        return answer.status_code, answer.content


def notice_of(attempt: PaymentAttempt, *, account: Any = None, wall: Any = WALL, **changes: Any) -> Notice:
    """What the gateway sends when `attempt` was paid; signed by `account`, its own unless said otherwise."""
    account = account or attempt.account
    told = {
        "number": attempt.number,
        "state": "PAID",
        "merchant": attempt.account.merchant.merchant_id,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "transaction": "TEST0001",
        "paid_at": NOW.isoformat(),
    } | changes
    body = json.dumps(told).encode()
    secret = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=wall)
    return Notice(notify_url(account).removeprefix("http://testserver"), body, headers)


def page_of(attempt: PaymentAttempt) -> str:
    """The path that the code leads to."""
    return attempt.code.removeprefix("http://testserver")


def refusals() -> list[str]:
    """Reasons of the security events, oldest first."""
    return list(Event.objects.filter(kind="payment.refused_notice").order_by("id").values_list("why", flat=True))


def status_of(attempt: PaymentAttempt) -> tuple[str, str]:
    """(order, attempt) as they are now."""
    attempt = PaymentAttempt.objects.select_related("order").get(pk=attempt.pk)
    return attempt.order.status, attempt.status
