"""The sandbox gateway: our own, for demos, tests and training. Real signatures, TEST money.

`create` needs no call, as where a gateway makes no trade before somebody scans: the pay link carries its own signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import requests

from billing.orders import ATTEMPT_NUMBER, CodeForm, GatewayFacts, GatewayState, PayWay
from billing.providers.facts import CURRENCY, MERCHANT, TRANSACTION, instant, minor, word
from billing.providers.protocol import (
    Acknowledgement,
    Code,
    Credentials,
    GatewayRefused,
    GatewayTimeout,
    NoticeRefused,
    PaymentRequest,
    RefundFacts,
    RefundState,
)
from billing.providers.sandbox_wire import (
    PREFIX,
    SignatureRefused,
    Ticket,
    check_headers,
    dump,
    load,
    signed_headers,
    write_ticket,
)

TIMEOUT_SECONDS = 3


class SandboxProvider:
    """One merchant's account at the sandbox gateway: one page for whoever pays from wherever."""

    ways: ClassVar[frozenset[PayWay]] = frozenset(PayWay)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def create(self, request: PaymentRequest, *, wall: datetime) -> Code:
        """A pay link; the same request gives the same link."""
        ticket = Ticket(
            self._credentials.account,
            request.number,
            request.amount,
            request.currency,
            request.subject,
            request.return_path,
            request.expires_at,
        )
        link = f"{self._credentials.base_url}/sandbox/pay/{write_ticket(self._credentials.secret, ticket)}"
        return Code(CodeForm.QR if request.way is PayWay.SCREEN else CodeForm.LINK, link)

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """What the gateway's books say of the trade."""
        return self._trade(self._call("query", {"number": number}, wall))

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Let nobody pay any more; a paid trade answers PAID."""
        return self._trade(self._call("close", {"number": number}, wall))

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Pay back `amount` minor units, once per refund number."""
        request = {"number": number, "refund_number": refund_number, "amount": amount}
        return _refund(self._call("refund", request, wall))

    def query_refund(self, refund_number: str, *, number: str, wall: datetime) -> RefundFacts:
        """How the refund stands."""
        return _refund(self._call("query_refund", {"refund_number": refund_number}, wall))

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """The facts of a notice that this account's secret signed within ±300 s. Raises NoticeRefused (F28)."""
        own = self._credentials
        try:
            check_headers(own.secret, headers, purpose="notice", account=own.account, body=body, wall=wall)
            return self._trade(load(body))
        except (SignatureRefused, GatewayTimeout) as refused:
            raise NoticeRefused(str(refused)) from None

    def ack(self) -> Acknowledgement:
        """Exactly `success`."""
        return Acknowledgement(200, "text/plain; charset=utf-8", b"success")

    def _call(self, verb: str, content: dict[str, Any], wall: datetime) -> dict[str, Any]:
        own, body = self._credentials, dump(content)
        headers = signed_headers(own.secret, purpose=f"request:{verb}", account=own.account, body=body, wall=wall)
        try:
            answer = requests.post(
                f"{own.base_url}/sandbox/gateway/{verb}",
                data=body,
                headers=headers | {"Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as lost:
            raise GatewayTimeout(f"The sandbox gateway did not answer ({type(lost).__name__}).") from lost
        purpose = f"answer:{headers[f'{PREFIX}Nonce']}"
        try:
            check_headers(
                own.secret, answer.headers, purpose=purpose, account=own.account, body=answer.content, wall=wall
            )
            told = load(answer.content)
        except SignatureRefused as refused:
            raise GatewayTimeout(f"The sandbox gateway's answer is not signed by it: {refused}") from refused
        if answer.status_code != requests.codes.ok:
            raise GatewayRefused(str(told.get("problem", answer.status_code))[:200])
        return told

    def _trade(self, told: dict[str, Any]) -> GatewayFacts:
        try:
            return _facts(told)
        except (KeyError, TypeError, ValueError, OverflowError) as broken:
            raise GatewayTimeout("The sandbox gateway's answer lacks a field.") from broken


def _facts(told: Mapping[str, Any]) -> GatewayFacts:
    """Facts of a trade. Raises KeyError, TypeError, ValueError or OverflowError."""
    number, state = word(told["number"], ATTEMPT_NUMBER), GatewayState(told["state"])
    if state is not GatewayState.PAID:
        return GatewayFacts(number, state)
    return GatewayFacts(
        number,
        state,
        merchant_id=word(told["merchant"], MERCHANT),
        amount=minor(told["amount"]),
        currency=word(told["currency"], CURRENCY),
        transaction_id=word(told["transaction"], TRANSACTION),
        paid_at=instant(told["paid_at"]),
    )


def _refund(told: dict[str, Any]) -> RefundFacts:
    try:
        number, state = word(told["refund_number"], ATTEMPT_NUMBER), RefundState(told["state"])
        return RefundFacts(number, state, minor(told["amount"]))
    except (KeyError, TypeError, ValueError) as broken:
        raise GatewayTimeout("The sandbox gateway's answer lacks a field.") from broken
