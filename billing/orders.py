"""Orders and payments as pure rules: numbers, allowed transitions (Q2), what a gateway's word means, when to ask it.

Nothing here reads a clock or a database. `verdict` is the whole table by which gateway facts become money facts;
`billing.services.settlement` only stores what it says.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0 O, 1 I L, U: people read these numbers out on the phone."""
ORDER_NUMBER = re.compile(rf"[{ALPHABET}]{{4}}(-[{ALPHABET}]{{4}}){{2}}")
ATTEMPT_NUMBER = re.compile(r"[0-9A-Z]{6,32}")
ATTEMPT_LENGTH = 24
BANK_ACCOUNT = re.compile(r"^[0-9]+:")
"""No gateway's number has a colon."""

MAX_LINES = 10_000
"""Q1: devices in one order."""

POLLS = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 120, 300))
"""Queries after an attempt was made; the last gap repeats until the code expires (F26)."""
LATE_CHECKS = tuple(timedelta(minutes=minutes) for minutes in (1, 10, 60, 125, 1_440))
"""Queries after the code expired: a payment may still come (F27)."""
ASK_AGAIN = timedelta(hours=1)
ASK_FOR = timedelta(days=7)
ASK_AT_LEAST = 48
"""A last late check without an answer is repeated hourly, so long and so often at least; then a person decides (R1)."""


class OrderStatus(StrEnum):
    """States of Q2. EXPIRED and CANCELLED may still become PAID: a late payment."""

    PENDING = "PENDING"
    PAID = "PAID"
    FULFILLED = "FULFILLED"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


class AttemptStatus(StrEnum):
    """States of an attempt; UNKNOWN is a create call whose outcome nobody knows yet."""

    CREATED = "CREATED"
    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"
    PAID = "PAID"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


class PayWay(StrEnum):
    """Where the payer is, which decides what a gateway hands out; the caller knows it, the gateway doesn't."""

    SCREEN = "SCREEN"
    """Looking at somebody else's screen: a QR code that another phone scans."""
    BROWSER = "BROWSER"
    """In a phone's browser: a page that calls the gateway's app."""
    IN_APP = "IN_APP"
    """In the browser inside the gateway's own app."""


class CodeForm(StrEnum):
    """What to do with a payment code: draw it, open it, hand it to the gateway's script (JSON), or write it on a bank
    transfer."""

    QR = "QR"
    LINK = "LINK"
    PARAMETERS = "PARAMETERS"
    REFERENCE = "REFERENCE"


class ExceptionKind(StrEnum):
    """Why a payment needs a person (settle table of the payments spec)."""

    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    MERCHANT_MISMATCH = "MERCHANT_MISMATCH"
    LATE = "LATE"
    SECOND_PAYMENT = "SECOND_PAYMENT"
    UNAPPLIED_LINES = "UNAPPLIED_LINES"
    UNANSWERED = "UNANSWERED"
    """No money that we know of: the gateway never said whether there is any."""


class OrderRefusal(StrEnum):
    """Why a device can't be in an order, beside what its own service says (E4)."""

    NOT_FOUND = "not_found"
    PLAN_NOT_ON_SALE = "plan_not_on_sale"
    NOT_SOLD_FOR_DEVICE = "not_sold_for_device"
    OTHER_LEVEL = "other_level"


TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.PAID, OrderStatus.EXPIRED, OrderStatus.CANCELLED}),
    OrderStatus.PAID: frozenset({OrderStatus.FULFILLED, OrderStatus.PARTIALLY_FULFILLED, OrderStatus.REFUNDED}),
    OrderStatus.FULFILLED: frozenset({OrderStatus.REFUNDED}),
    # Back to PAID: what could not be applied is tried again by a person's word (Q4).
    OrderStatus.PARTIALLY_FULFILLED: frozenset({OrderStatus.REFUNDED, OrderStatus.PAID}),
    OrderStatus.EXPIRED: frozenset({OrderStatus.PAID}),
    OrderStatus.CANCELLED: frozenset({OrderStatus.PAID}),
    OrderStatus.REFUNDED: frozenset(),
}
"""Q2."""
ENDED_UNPAID = frozenset({OrderStatus.EXPIRED, OrderStatus.CANCELLED})
SETTLED = frozenset({OrderStatus.PAID, OrderStatus.FULFILLED, OrderStatus.PARTIALLY_FULFILLED, OrderStatus.REFUNDED})
OPEN_ATTEMPTS = frozenset({AttemptStatus.CREATED, AttemptStatus.UNKNOWN, AttemptStatus.PENDING})


class TransitionRefused(Exception):
    """The order is in a state from which that step doesn't exist (Q2)."""


def check_transition(old: OrderStatus, new: OrderStatus) -> None:
    """Raise TransitionRefused unless Q2 allows the step."""
    if new not in TRANSITIONS[old]:
        raise TransitionRefused(f"An order that is {old.value} can't become {new.value}.")


class GatewayState(StrEnum):
    """What a gateway says of one trade. NOT_FOUND is normal before anybody scanned, and never final."""

    NOT_FOUND = "NOT_FOUND"
    NOT_PAID = "NOT_PAID"
    PAID = "PAID"
    CLOSED = "CLOSED"


class GatewayFacts(NamedTuple):
    """One verified answer or notice of a gateway. Where PAID, the fields after `state` are all known."""

    number: str
    state: GatewayState
    merchant_id: str = ""
    amount: int = 0
    currency: str = ""
    transaction_id: str = ""
    paid_at: datetime | None = None


class AttemptFacts(NamedTuple):
    """What we asked for and what we know so far. `taken` says that the transaction is on another attempt already."""

    status: AttemptStatus
    amount: int
    currency: str
    merchant_id: str
    transaction_id: str | None = None
    taken: bool = False


class Outcome(StrEnum):
    """What the facts amount to."""

    NOTHING_NEW = "nothing_new"
    WAITING = "waiting"
    PAID = "paid"
    PAID_LATE = "paid_late"
    MISMATCH = "mismatch"
    SECOND_PAYMENT = "second_payment"
    TAKEN = "taken"


class Verdict(NamedTuple):
    """What to store. Money is received where `outcome` says so; it is unapplied at once where `problem` isn't LATE."""

    outcome: Outcome
    attempt_to: AttemptStatus | None = None
    order_to: OrderStatus | None = None
    problem: ExceptionKind | None = None

    @property
    def receives(self) -> bool:
        """Money came in that wasn't booked before."""
        return self.outcome in {Outcome.PAID, Outcome.PAID_LATE, Outcome.MISMATCH, Outcome.SECOND_PAYMENT}


def verdict(order: OrderStatus, attempt: AttemptFacts, gateway: GatewayFacts) -> Verdict:
    """The settle table: what the gateway's word means for this attempt of an order in that state.

    Equal facts give NOTHING_NEW the second time (F24), a stale "not paid" after "paid" too; a late payment is honoured
    and flagged (F27); what differs by one minor unit pays for nothing (F30); a second payment changes no order (F31).
    """
    if gateway.state is not GatewayState.PAID:
        return _unpaid(attempt, gateway.state)
    if attempt.transaction_id == gateway.transaction_id:
        return Verdict(Outcome.NOTHING_NEW)
    if attempt.taken:
        return Verdict(Outcome.TAKEN)
    if attempt.status is AttemptStatus.PAID:
        return Verdict(Outcome.SECOND_PAYMENT, problem=ExceptionKind.SECOND_PAYMENT)
    if gateway.merchant_id != attempt.merchant_id:
        return Verdict(Outcome.MISMATCH, AttemptStatus.PAID, problem=ExceptionKind.MERCHANT_MISMATCH)
    if (gateway.amount, gateway.currency) != (attempt.amount, attempt.currency):
        return Verdict(Outcome.MISMATCH, AttemptStatus.PAID, problem=ExceptionKind.AMOUNT_MISMATCH)
    if order in SETTLED:
        return Verdict(Outcome.SECOND_PAYMENT, AttemptStatus.PAID, problem=ExceptionKind.SECOND_PAYMENT)
    if order in ENDED_UNPAID:
        return Verdict(Outcome.PAID_LATE, AttemptStatus.PAID, OrderStatus.PAID, ExceptionKind.LATE)
    return Verdict(Outcome.PAID, AttemptStatus.PAID, OrderStatus.PAID)


def _unpaid(attempt: AttemptFacts, state: GatewayState) -> Verdict:
    if attempt.status not in OPEN_ATTEMPTS or state is GatewayState.NOT_FOUND:
        return Verdict(Outcome.NOTHING_NEW)
    if state is GatewayState.CLOSED:
        return Verdict(Outcome.WAITING, AttemptStatus.CLOSED)
    if attempt.status is AttemptStatus.UNKNOWN:  # the trade exists, but its code was lost with the answer
        return Verdict(Outcome.NOTHING_NEW)
    return Verdict(Outcome.WAITING, AttemptStatus.PENDING)


def success_time(gateway: GatewayFacts, *, created_at: datetime, now: datetime) -> datetime:
    """The gateway's success time (A16), kept between the making of the attempt and `now`: its clock may be off."""
    return max(created_at, min(gateway.paid_at or now, now))


def next_query(*, created_at: datetime, expires_at: datetime, now: datetime) -> datetime | None:
    """The first planned query after `now`; None once the last late check is over.

    Planned moments hang on the attempt, not on the last query: after an outage there is one query, not a burst.
    """
    for delay in POLLS:
        if now < created_at + delay < expires_at:
            return created_at + delay
    gap = POLLS[-1]
    following = created_at + gap * ((now - created_at) // gap + 1)
    if now < following < expires_at:
        return following
    return next((expires_at + late for late in LATE_CHECKS if now < expires_at + late), None)


def next_late_query(*, expires_at: datetime, asked: int, now: datetime) -> datetime | None:
    """After a last late check that wasn't answered: in an hour; None after a week, when a person has to ask (R1).

    `asked`: how often it was asked so far. Whoever was away for that week has the questions still to ask (F13).
    """
    if now >= expires_at + LATE_CHECKS[-1] + ASK_FOR and asked >= ASK_AT_LEAST:
        return None
    return now + ASK_AGAIN


def shown_transaction(transaction_id: str | None) -> str:
    """The gateway's own number as people know it: a bank's reference is kept with its account before it."""
    return BANK_ACCOUNT.sub("", transaction_id or "")


def new_order_number() -> str:
    """Such as R7Q3-M9K2-X4TB: 58 bits, unguessable and easy to read out."""
    return "-".join(_letters(4) for _ in range(3))


def new_attempt_number() -> str:
    """24 letters and digits, within the 6 to 32 that gateways take; never reused."""
    return _letters(ATTEMPT_LENGTH)


def new_refund_number() -> str:
    """Like an attempt's, with an R in front: people tell them apart on a bank statement."""
    return f"R{_letters(ATTEMPT_LENGTH - 1)}"


def _letters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
