"""Refunds and payment exceptions as pure rules: states, who must approve, how much, how much time, what helps a case.

Nothing here reads a clock or a database. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from amp.foundation.money import allocate
from billing.orders import ExceptionKind


class RefundStatus(StrEnum):
    """States of a refund. PROCESSING: the gateway may have heard of it; only its word ends it."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Effect(StrEnum):
    """What becomes of the devices once the money is back: they keep their time, lose the part, or stop at once."""

    KEEP = "KEEP"
    SHORTEN = "SHORTEN"
    STOP = "STOP"


class Resolution(StrEnum):
    """What a person may do about a payment exception."""

    REFUND = "REFUND"
    KEEP = "KEEP"
    RETRY = "RETRY"


TRANSITIONS: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.REQUESTED: frozenset({RefundStatus.APPROVED, RefundStatus.FAILED}),
    RefundStatus.APPROVED: frozenset({RefundStatus.PROCESSING}),
    RefundStatus.PROCESSING: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset(),
    RefundStatus.FAILED: frozenset(),
}
"""A rejected refund is FAILED before any gateway heard of it; what FAILED is asked for anew, as another refund."""
LIVE = frozenset({RefundStatus.REQUESTED, RefundStatus.APPROVED, RefundStatus.PROCESSING})

RESOLUTIONS: dict[ExceptionKind, tuple[Resolution, ...]] = {
    ExceptionKind.AMOUNT_MISMATCH: (Resolution.REFUND,),
    ExceptionKind.MERCHANT_MISMATCH: (Resolution.REFUND,),
    ExceptionKind.LATE: (Resolution.KEEP, Resolution.REFUND),
    ExceptionKind.SECOND_PAYMENT: (Resolution.REFUND,),
    ExceptionKind.UNAPPLIED_LINES: (Resolution.RETRY, Resolution.REFUND),
    ExceptionKind.UNANSWERED: (Resolution.RETRY, Resolution.KEEP),
}
"""What helps a case, the usual answer first."""

UNUSED_KINDS = (ExceptionKind.AMOUNT_MISMATCH, ExceptionKind.MERCHANT_MISMATCH, ExceptionKind.SECOND_PAYMENT)
"""Cases of money that no line has used: one refund gives back that of all of them."""

SYSTEM = "system"
"""Who asks for a refund that nobody asked for: it waits for a person whatever its amount."""
ASKS = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 120, 300, 600, 1_800))
"""Gaps between questions about a refund in progress; afterwards one an hour, for as long as it takes."""
HOURLY = timedelta(hours=1)
EFFECT_RETRIES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600))
"""After the last one the devices wait for a person (house pattern 3)."""
DAY = timedelta(days=1)


class RefundStepRefused(Exception):
    """The refund is in a state from which that step doesn't exist."""


class LineShare(NamedTuple):
    """One order line: what can still be refunded of its `amount`, its period's `length`, and what of it is unused."""

    amount: int
    refundable: int
    length: timedelta
    unused: timedelta


def check_step(old: RefundStatus, new: RefundStatus) -> None:
    """Raise RefundStepRefused unless the table allows the step."""
    if new not in TRANSITIONS[old]:
        raise RefundStepRefused(f"A refund that is {old.value} can't become {new.value}.")


def needs_another(amount: int, threshold: int) -> bool:
    """Whether a second person has to approve: above the threshold, never at it."""
    return amount > threshold


def suggested(lines: Sequence[LineShare]) -> list[int]:
    """What the unused time is worth, for each line: pro rata, by the largest remainder (F39).

    The sum is the exact worth rounded half up; no line gets more than is refundable of it. A line without a period was
    never used: all of it is suggested.
    """
    worth = [_worth(line) for line in lines]
    total = int(sum(worth, Fraction()) + Fraction(1, 2))
    parts = [int(each) for each in worth]
    by_remainder = sorted(range(len(lines)), key=lambda n: parts[n] - worth[n])
    for n in by_remainder[: total - sum(parts)]:
        parts[n] += 1
    return parts


def shared(amount: int, lines: Sequence[LineShare]) -> list[int]:
    """`amount` over the lines: as the unused time suggests while that is enough, what is above it by what is left.

    Sums to exactly `amount`. Raises ValueError where it isn't between 1 and what is refundable.
    """
    most = [line.refundable for line in lines]
    if not 0 < amount <= sum(most):
        raise ValueError("Refund at least 1 and at most what is left of the lines.")
    usual = suggested(lines)
    if amount <= sum(usual):
        return allocate(amount, usual)
    above = [each - part for each, part in zip(most, usual, strict=True)]
    more = allocate(amount - sum(usual), above)
    return [part + extra for part, extra in zip(usual, more, strict=True)]


def time_for(amount: int, line: LineShare) -> timedelta:
    """The time that `amount` buys back of a line's period: in proportion, at most what is unused; whole seconds.

    Who gets back what the unused time is worth keeps none of it, whatever was rounded.
    """
    if not line.amount or amount >= int(_worth(line)):
        return line.unused
    seconds = line.length // timedelta(seconds=1) * amount // line.amount
    return min(timedelta(seconds=seconds), line.unused)


def next_ask(attempts: int, now: datetime) -> datetime:
    """When the gateway is asked again, after `attempts` calls."""
    return now + (ASKS[attempts - 1] if 1 <= attempts <= len(ASKS) else HOURLY)


def _worth(line: LineShare) -> Fraction:
    if not line.length:
        return Fraction(line.refundable)
    second = timedelta(seconds=1)
    exact = Fraction(line.amount * (line.unused // second), line.length // second)
    return min(exact, Fraction(line.refundable))
