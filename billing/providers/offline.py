"""Bank transfers: people move the money, so nothing is called; what people have confirmed is read from the books.

The books are handed in with the credentials (`billing.services.offline_books`): adapters know no tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from billing.orders import CodeForm, GatewayFacts, GatewayState, PayWay
from billing.providers.protocol import (
    Acknowledgement,
    Code,
    Credentials,
    NoticeRefused,
    OfflineBooks,
    PaymentRequest,
    RefundFacts,
)


class OfflineProvider:
    """One merchant's bank account. A payment counts once a second person has confirmed its receipt."""

    ways: ClassVar[frozenset[PayWay]] = frozenset({PayWay.SCREEN})

    def __init__(self, credentials: Credentials) -> None:
        if credentials.books is None:
            raise ValueError("Bank transfers need the books in which people confirm them.")
        self._books: OfflineBooks = credentials.books

    def create(self, request: PaymentRequest, *, wall: datetime) -> Code:
        """The reference that the payer writes on the transfer: our number in groups of four."""
        groups = (request.number[at : at + 4] for at in range(0, len(request.number), 4))
        return Code(CodeForm.REFERENCE, " ".join(groups))

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """PAID once a receipt of it is confirmed."""
        return self._books.trade(number)

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Nobody can be kept from making a transfer; one that comes later is honoured or refunded like any other."""
        facts = self._books.trade(number)
        return facts if facts.state is GatewayState.PAID else GatewayFacts(number, GatewayState.CLOSED)

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Ask people to pay back; PROCESSING until a second person has confirmed it."""
        return self._books.pay_out(number, refund_number, amount)

    def query_refund(self, refund_number: str, *, number: str, wall: datetime) -> RefundFacts:
        """How far people are."""
        return self._books.payout(number, refund_number)

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """Banks send no notices here: whatever comes is forged."""
        raise NoticeRefused("Bank transfers have no notices.")

    def ack(self) -> Acknowledgement:
        """As everywhere."""
        return Acknowledgement(200, "text/plain; charset=utf-8", b"success")
