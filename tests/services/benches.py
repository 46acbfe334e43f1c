"""Every payment provider on the same bench: an account, a payer who pays there, and the notices that come of it.

The sandbox is played in this process, WeChat Pay and Alipay by the simulator of `tests.gateways`, bank transfers by two
people (`tests.services.offline_bench`). Faults have the same names everywhere.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from django.test import Client

from billing.models import MerchantAccount, PaymentAttempt, Provider, SandboxTrade
from billing.orders import PayWay
from billing.providers import sandbox_wire
from billing.providers.protocol import PaymentRequest
from billing.providers.sandbox_wire import signed_headers
from billing.services.accounts import account_that_sells, gateway_of, notify_url, open_account
from billing.services.sandbox import PayRefused, Trouble, pay
from billing.services.sandbox_notices import told_of
from tests.gateways import process
from tests.gateways.books import Fault
from tests.gateways.process import OPENID, Gateways, Sent
from tests.services.offline_bench import OfflineBench
from tests.services.shop import ACTOR, NOW, WALL, Loopback, Shop

REAL = ("wechat-direct", "wechat-partner", "alipay-direct", "alipay-partner")
CALLED = ("sandbox", *REAL)
"""Gateways over a wire, which send notices; bank transfers do neither."""
KINDS = (*CALLED, "offline")


class Bench(Protocol):
    """One provider, and everything that may happen at its gateway."""

    kind: str

    def open(self, shop: Shop) -> MerchantAccount:
        """The shop's account there."""

    def at(self, later: timedelta) -> tuple[datetime, datetime]:
        """Let time pass since the start, also at the gateway; (now, wall)."""

    def pay(self, account: MerchantAccount, code: str, fault: str = "") -> bool:
        """Somebody pays; False where the gateway takes no money for this code. Its notices wait."""

    def notices(self) -> list[Sent]:
        """The notices that the gateway sends now."""

    def fail(self, fault: Fault) -> None:
        """The next call goes wrong so."""

    def received(self) -> int:
        """Sum of what the gateway's own books say came in."""


class SandboxBench:
    """The sandbox gateway, whose books are tables of ours."""

    kind = "sandbox"

    def __init__(self, wire: Loopback) -> None:
        self.wire, self.waiting = wire, list[Sent]()
        self.late: list[tuple[datetime, Sent]] = []

    def open(self, shop: Shop) -> MerchantAccount:
        return account_that_sells(shop.merchant, now=NOW)

    def at(self, later: timedelta) -> tuple[datetime, datetime]:
        return self.wire.at(later)

    def pay(self, account: MerchantAccount, code: str, fault: str = "") -> bool:
        signed = code.rsplit("/", 1)[1]
        number = sandbox_wire.read_ticket(_secret(account), signed).number
        if fault in {Fault.FORGED, Fault.FOREIGN_KEY}:
            self._promise(account, number, fault)
            return True
        trouble = Trouble.WRONG_AMOUNT if fault == Fault.WRONG_AMOUNT else Trouble.DROPPED
        try:
            self.wire.lost_requests = ("/pay/notify/",)
            pay(signed=signed, trouble=trouble, now=self.wire.now, wall=self.wire.wall)
        except PayRefused:
            return False
        finally:
            self.wire.lost_requests = ()
        for _ in range({Fault.DROPPED: 0, Fault.DUPLICATE: 2}.get(fault, 1)):  # type: ignore[call-overload]
            self._promise(account, number, fault)
        return True

    def notices(self) -> list[Sent]:
        due, self.waiting = self.waiting, []
        return due

    def fail(self, fault: Fault) -> None:
        if fault == Fault.LOST_REQUEST:
            self.wire.lost_requests = ("/sandbox/gateway/",)
        else:
            self.wire.lost_answers = ("/sandbox/gateway/",)

    def received(self) -> int:
        return sum(SandboxTrade.objects.filter(status="PAID").values_list("amount", flat=True))

    def _promise(self, account: MerchantAccount, number: str, fault: str) -> None:
        trade = SandboxTrade.objects.filter(number=number).first()
        told = told_of(trade) if trade else _dreamt(account, number)
        if fault == Fault.WRONG_MERCHANT:
            told["merchant"] = "SOMEBODY-ELSE"
        secret = secrets.token_bytes(32) if fault in {Fault.FORGED, Fault.FOREIGN_KEY} else _secret(account)
        body, own = sandbox_wire.dump(told), account.public_id.hex
        headers = signed_headers(secret, purpose="notice", account=own, body=body, wall=self.wire.wall)
        self.waiting.append(Sent(notify_url(account), headers | {"Content-Type": "application/json"}, body))


class RealBench:
    """WeChat Pay or Alipay, played by the simulator."""

    def __init__(self, kind: str, gateways: Gateways, wire: Loopback) -> None:
        self.kind, self.gateways, self.wire = kind, gateways, wire
        gateways.at(wire.wall)

    def open(self, shop: Shop) -> MerchantAccount:
        name, _, mode = self.kind.partition("-")
        secret_of = {"wechat": process.wechat_secret, "alipay": process.alipay_secret}[name]
        secret = secret_of(is_partner=mode == "partner")
        return open_account(merchant=shop.merchant, provider=Provider(name), secret=secret, actor=ACTOR, now=NOW)

    def at(self, later: timedelta) -> tuple[datetime, datetime]:
        moments = self.wire.at(later)
        self.gateways.at(moments[1])
        return moments

    def pay(self, account: MerchantAccount, code: str, fault: str = "") -> bool:
        signer = process.OTHER_MCHID if account.provider == "wechat" else process.OTHER_APP_ID
        told = {"code": code, "fault": fault, "signer": signer, "payer": OPENID}
        return isinstance(self.gateways.say("pay", **told), str)

    def notices(self) -> list[Sent]:
        return self.gateways.notices()

    def fail(self, fault: Fault) -> None:
        self.gateways.say("fail", fault=fault)

    def received(self) -> int:
        return sum(paid["amount"] for trade in self.gateways.books() for paid in trade["transactions"])


def bench_of(kind: str, request: pytest.FixtureRequest) -> Bench:
    """The bench of that name; the simulator only runs where it is needed."""
    wire = request.getfixturevalue("wire")
    if kind == "sandbox":
        return SandboxBench(wire)
    if kind == "offline":
        return OfflineBench(wire)
    return RealBench(kind, request.getfixturevalue("gateways"), wire)


def deliver(notices: list[Sent]) -> list[tuple[int, bytes]]:
    """POST notices to the product; (status, body) of each answer."""
    answers = []
    for sent in notices:
        headers = dict(sent.headers)
        kind = headers.pop("Content-Type")
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        answer = client.post(urlsplit(sent.url).path, data=sent.body, content_type=kind, headers=headers)
        answers.append((answer.status_code, answer.content))
    return answers


def asked(account: MerchantAccount, number: str = "CONTRACT0001", **changes: Any) -> PaymentRequest:
    """A request for 199 yuan, straight to the provider."""
    request = PaymentRequest(
        number, 19_900, "CNY", "Yearly }1", notify_url(account), "/back", NOW + timedelta(minutes=30), NOW
    )
    return request._replace(**changes)


def ways_with_payer(way: PayWay) -> dict[str, Any]:
    """What each way of paying needs to know of the payer."""
    return {"way": way, "payer_id": OPENID, "payer_ip": "203.0.113.9"}


def code_of(attempt: PaymentAttempt) -> str:
    """The code as stored."""
    return PaymentAttempt.objects.values_list("code", flat=True).get(pk=attempt.pk)


def _secret(account: MerchantAccount) -> bytes:
    secret: bytes = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
    return secret


def _dreamt(account: MerchantAccount, number: str) -> dict[str, Any]:
    return {
        "number": number,
        "state": "PAID",
        "merchant": account.merchant.merchant_id,
        "amount": 19_900,
        "currency": "CNY",
        "transaction": "TESTDREAMT",
        "paid_at": WALL.isoformat(),
    }
