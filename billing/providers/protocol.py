"""What billing may ask of any gateway, in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from billing.orders import GatewayFacts


class GatewayTimeout(Exception):
    """No answer that can be trusted: the call may or may not have happened. Query before anything else (F45)."""


class GatewayRefused(Exception):
    """The gateway answered and said no; the message is its reason, without secrets."""


class NoticeRefused(Exception):
    """A notice that proves nothing: unsigned, forged, too old, or for another account (F28, F29)."""


class OfflineBooks(Protocol):
    """What people have confirmed of one account's bank transfers."""

    def trade(self, number: str) -> GatewayFacts:
        """How a payment stands."""

    def pay_out(self, number: str, refund_number: str, amount: int) -> RefundFacts:
        """Ask people to pay back. Raises GatewayRefused."""

    def payout(self, refund_number: str) -> RefundFacts:
        """How a refund stands."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One merchant's account at a gateway. `secret` never appears in a repr, a log or an exception.

    `books` are there for bank transfers only.
    """

    account: str
    merchant_id: str
    secret: bytes
    base_url: str
    books: OfflineBooks | None = None

    def __repr__(self) -> str:
        return f"Credentials(account={self.account!r}, merchant_id={self.merchant_id!r})"


class PaymentRequest(NamedTuple):
    """What the payer is asked for. Everything comes from stored rows, so a retry sends the same bytes."""

    number: str
    amount: int
    currency: str
    subject: str
    notify_url: str
    return_path: str
    expires_at: datetime


class RefundState(StrEnum):
    """Accepted is not done: PROCESSING until the gateway says how it ended."""

    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    NOT_FOUND = "NOT_FOUND"


class RefundFacts(NamedTuple):
    """What the gateway says of one refund, by our refund number."""

    number: str
    state: RefundState
    amount: int = 0


class Acknowledgement(NamedTuple):
    """The answer that makes a gateway stop repeating a notice."""

    status: int
    content_type: str
    body: bytes


class PaymentProvider(Protocol):
    """One merchant's account at one gateway. `wall` is real time: signatures live on it.

    Each call takes a few seconds at most; all but `parse_notification` and `ack` may raise GatewayTimeout or
    GatewayRefused.
    """

    def create(self, request: PaymentRequest, *, wall: datetime) -> str:
        """The code that the payer scans or opens. The same request again gives a code for the same trade."""

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """What the gateway knows of the trade; NOT_FOUND before anybody scanned."""

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Let nobody pay any more; never undoes a payment: a paid trade answers PAID."""

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Pay back `amount` minor units; the same refund number pays back once."""

    def query_refund(self, refund_number: str, *, wall: datetime) -> RefundFacts:
        """How the refund stands; NOT_FOUND where the gateway never took it."""

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """The facts of a notice, verified on its raw bytes. Raises NoticeRefused."""

    def ack(self) -> Acknowledgement:
        """The success answer, the same for a first notice and a repeated one (F24)."""
