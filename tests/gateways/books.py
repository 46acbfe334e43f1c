"""What a gateway keeps for itself: merchants, trades, money and refunds; and the faults it was told to play."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

LATE = timedelta(hours=1)


class Fault(StrEnum):
    """What goes wrong on demand. The first nine are told with a payment, the others wait for a call."""

    DUPLICATE = "duplicate"
    LATE = "late"
    DROPPED = "dropped"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_MERCHANT = "wrong_merchant"
    WRONG_CURRENCY = "wrong_currency"
    FORGED = "forged"
    FOREIGN_KEY = "foreign_key"
    SECOND_PAYMENT = "second_payment"
    PROBE = "probe"
    LOST_REQUEST = "lost_request"
    LOST_ANSWER = "lost_answer"
    SERVER_ERROR = "server_error"
    MALFORMED = "malformed"
    REDIRECT = "redirect"
    STALE = "stale"
    BOMB = "bomb"


class Course(StrEnum):
    """How refunds go, until another course is told: at once, not yet, or not at all."""

    DONE = ""
    PROCESSING = "processing"
    FAILED = "failed"


UNPAID = {Fault.FORGED, Fault.FOREIGN_KEY}
"""Notices of payments that nobody made."""


class Refused(Exception):
    """The gateway's no; `code` is one of its own words."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


@dataclass
class Merchant:
    """An account as the gateway knows it; `id` is mchid or app_id, `sellers` whom it may sell for."""

    gateway: str
    id: str
    public_key: str
    signing_key: str
    signing_id: str = ""
    certificate: str = ""
    serial: str = ""
    secret: str = ""
    sellers: dict[str, str] = field(default_factory=dict)


@dataclass
class Transaction:
    """Money that came in."""

    id: str
    amount: int
    at: datetime
    seller: str
    currency: str = "CNY"


@dataclass
class Refund:
    """Money that went back, once per number."""

    number: str
    amount: int
    id: str
    course: str = ""
    at: datetime | None = None


@dataclass
class Trade:
    """One order number of one merchant."""

    merchant: str
    seller: str
    number: str
    amount: int
    currency: str
    subject: str
    notify_url: str
    request: dict[str, Any]
    codes: list[str] = field(default_factory=list)
    is_scanned: bool = False
    is_closed: bool = False
    transactions: list[Transaction] = field(default_factory=list)
    refunds: dict[str, Refund] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """Sum that went back, or is on its way."""
        return sum(refund.amount for refund in self.refunds.values() if refund.course != Course.FAILED)


@dataclass
class Notice:
    """A notice that waits to be sent: of which transaction, and with which fault."""

    trade: Trade
    transaction: Transaction
    fault: str
    due_at: datetime
    signer: str


@dataclass
class Books:
    """All of it, at the moment that the test has set, or now."""

    moment: datetime | None = None
    merchants: dict[str, Merchant] = field(default_factory=dict)
    trades: dict[tuple[str, str, str], Trade] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    course: Course = Course.DONE
    courses: dict[str, Course] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def now(self) -> datetime:
        """The gateway's clock."""
        return self.moment or datetime.now(UTC)  # noqa: TID251, it is another company's machine

    def open(self, made: Trade) -> Trade:
        """The trade of that number; the same request again finds it, a different one is refused."""
        found = self.trades.setdefault((made.merchant, made.seller, made.number), made)
        if found.request != made.request:
            raise Refused("NUMBER_USED", 403)
        if found.transactions:
            raise Refused("PAID")
        if found.is_closed:
            raise Refused("CLOSED")
        return found

    def find(self, merchant: str, seller: str, number: str) -> Trade:
        """Raises Refused where there is no such trade."""
        try:
            return self.trades[merchant, seller, number]
        except KeyError:
            raise Refused("NOT_FOUND", 404) from None

    def pay(self, trade: Trade, fault: str, signer: str) -> Transaction:
        """The payer pays; the notices of it wait to be fetched."""
        if fault not in UNPAID and trade.is_closed:
            raise Refused("CLOSED")
        if trade.transactions and fault != Fault.SECOND_PAYMENT:
            raise Refused("PAID")
        amount = trade.amount - 1 if fault == Fault.WRONG_AMOUNT else trade.amount
        seller = "1999999999999999" if fault == Fault.WRONG_MERCHANT else trade.seller or trade.merchant
        number = f"42{self.now:%Y%m%d}{next(self.numbers):010}"
        currency = "USD" if fault == Fault.WRONG_CURRENCY else trade.currency
        paid = Transaction(number, amount, self.now, seller, currency)
        if fault not in UNPAID:
            trade.transactions.append(paid)
            trade.is_scanned = True
        due_at = self.now + (LATE if fault == Fault.LATE else timedelta())
        copies = {Fault.DROPPED: 0, Fault.DUPLICATE: 2}.get(Fault(fault), 1) if fault else 1
        self.notices += [Notice(trade, paid, fault, due_at, signer) for _ in range(copies)]
        return paid

    def close(self, trade: Trade) -> None:
        """Nobody pays any more; a paid trade stays paid."""
        if trade.transactions:
            raise Refused("PAID")
        if trade.is_closed:
            raise Refused("CLOSED")
        trade.is_closed = True

    def refund(self, trade: Trade, number: str, amount: int) -> tuple[Refund, bool]:
        """(refund, whether money moved just now). The same number again pays back nothing more."""
        if found := trade.refunds.get(number):
            if found.amount != amount:
                raise Refused("DIFFERENT")
            return found, False
        if not trade.transactions:
            raise Refused("NOT_PAID")
        if amount <= 0 or trade.refunded + amount > sum(paid.amount for paid in trade.transactions):
            raise Refused("NOT_ENOUGH", 403)
        course = self.course_of(trade)
        made = trade.refunds[number] = Refund(number, amount, f"50{next(self.numbers):010}", course, self.now)
        return made, True

    def take_course(self, course: str, number: str = "") -> None:
        """From now on refunds go so, also those that are on their way; only those of one trade where it is named."""
        if number:
            self.courses[number] = Course(course)
        else:
            self.course = Course(course)
        for trade in self.trades.values():
            for refund in trade.refunds.values():
                if number in {"", trade.number} and refund.course == Course.PROCESSING:
                    refund.course = Course(course)

    def course_of(self, trade: Trade) -> Course:
        """How refunds of this trade go now."""
        return self.courses.get(trade.number, self.course)

    def due_notices(self) -> list[Notice]:
        """The notices whose time has come; each is handed out once."""
        due = [notice for notice in self.notices if notice.due_at <= self.now]
        self.notices = [notice for notice in self.notices if notice.due_at > self.now]
        return due

    def fault(self, verb: str) -> str:
        """The fault that was ordered for such a call, used up by it; "" for none."""
        for order in self.faults:
            if order[1] in {"", verb}:
                self.faults.remove(order)
                return order[0]
        return ""

    def told(self) -> list[dict[str, Any]]:
        """The trades, for a test to compare."""
        return [asdict(trade) | {"refunded": trade.refunded} for trade in self.trades.values()]
