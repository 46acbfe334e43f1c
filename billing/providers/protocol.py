"""What billing may ask of any gateway, in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol

from billing.orders import CodeForm, GatewayFacts, PayWay


class GatewayTimeout(Exception):
    """No answer that can be trusted: the call may or may not have happened. Query before anything else (F45)."""


class GatewayRefused(Exception):
    """The gateway answered and said no; the message is its reason, without secrets."""


class BillNotMade(Exception):
    """The gateway has no bill of that day: not yet, or none at all because nothing moved."""


class NoticeRefused(Exception):
    """A notice that proves nothing: unsigned, forged, too old, or for another account (F28, F29)."""


class OfflineBooks(Protocol):
    """What people have confirmed of one account's bank transfers."""

    def trade(self, number: str) -> GatewayFacts:
        """How a payment stands."""

    def pay_out(self, number: str, refund_number: str, amount: int) -> RefundFacts:
        """Ask people to pay back. Raises GatewayRefused."""

    def payout(self, number: str, refund_number: str) -> RefundFacts:
        """How a refund of payment `number` stands."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One merchant's account at a gateway. `secret` never appears in a repr, a log or an exception.

    `merchant_id` is our name of the merchant, which facts report where the gateway's own number is the account's.
    `base_url` is our own address, `gateway_url` the gateway's. `books` are there for bank transfers only.
    """

    account: str
    merchant_id: str
    secret: bytes
    base_url: str
    gateway_url: str = ""
    books: OfflineBooks | None = None

    def __repr__(self) -> str:
        return f"Credentials(account={self.account!r}, merchant_id={self.merchant_id!r})"


class PaymentRequest(NamedTuple):
    """What the payer is asked for. Everything comes from stored rows, so a retry sends the same bytes.

    `payer_id` is the payer's id at the gateway (openid), which WeChat needs inside its app; `payer_ip` is the address
    of the payer's browser, which WeChat needs there.
    """

    number: str
    amount: int
    currency: str
    subject: str
    notify_url: str
    return_path: str
    expires_at: datetime
    asked_at: datetime
    way: PayWay = PayWay.SCREEN
    payer_id: str = ""
    payer_ip: str = ""


class Code(NamedTuple):
    """What the payer scans or opens; `lives` where the gateway lets it die before the request expires."""

    form: CodeForm
    text: str
    lives: timedelta | None = None


class RefundState(StrEnum):
    """Accepted is not done: PROCESSING until the gateway says how it ended. FAILED and NOT_FOUND paid nothing back."""

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

    ways: ClassVar[frozenset[PayWay]]
    """What the gateway can do; an account may offer less."""

    def create(self, request: PaymentRequest, *, wall: datetime) -> Code:
        """The code that the payer scans or opens. The same request again gives a code for the same trade."""

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """What the gateway knows of the trade; NOT_FOUND before anybody scanned."""

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Let nobody pay any more; never undoes a payment: a paid trade answers PAID."""

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Pay back `amount` minor units; the same refund number pays back once."""

    def query_refund(self, refund_number: str, *, number: str, wall: datetime) -> RefundFacts:
        """How the refund of payment `number` stands; NOT_FOUND where the gateway never took it."""

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """The facts of a notice, verified on its raw bytes. Raises NoticeRefused."""

    def ack(self) -> Acknowledgement:
        """The success answer, the same for a first notice and a repeated one (F24)."""


class BillSource(Protocol):
    """A gateway whose daily bills can be fetched; a provider may be one too."""

    def bill(self, day: date, *, wall: datetime) -> bytes:
        """The trade bill of a day in Beijing, as people download it, at most 10 MB.

        Raises BillNotMade, GatewayTimeout and GatewayRefused.
        """
