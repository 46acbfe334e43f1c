"""Settlement: the one place where a gateway's word becomes our money (R1).

Notices, polls, the return page and closing all call `settle`. It locks the order, then the attempt, and only then
asks the rule, so that whatever comes twice or at once is seen by the second as done (F24, F25).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F

from amp.foundation.crashing import crash_point
from amp.foundation.services.events import record_about
from amp.foundation.wakeups import wake
from billing.models import (
    EntryKind,
    LineStatus,
    MoneyEntry,
    Order,
    OrderLine,
    PaymentAttempt,
    PaymentException,
)
from billing.orders import (
    OPEN_ATTEMPTS,
    AttemptFacts,
    AttemptStatus,
    ExceptionKind,
    GatewayFacts,
    GatewayState,
    OrderStatus,
    Outcome,
    Verdict,
    check_transition,
    success_time,
    verdict,
)
from billing.refunds import Resolution
from billing.services.refund_proposals import propose_refund

FULFIL = "billing.tasks.fulfil_paid_orders"
POLL = "billing.tasks.poll_attempts"
COUNTED_ANEW = frozenset({ExceptionKind.UNAPPLIED_LINES, ExceptionKind.UNANSWERED})
PAID_FIELDS = ("status", "transaction_id", "paid_amount", "paid_currency", "paid_at", "learned_at", "due_at", "settles")


class Settled(NamedTuple):
    """What `settle` found, and where order and attempt stand now."""

    outcome: Outcome
    order_status: OrderStatus
    attempt_status: AttemptStatus
    problem: ExceptionKind | None = None


@transaction.atomic
def settle(*, attempt_id: int, facts: GatewayFacts, now: datetime) -> Settled:
    """Store what verified gateway facts mean for one attempt; safe to repeat with any facts in any order.

    Runs in the system's scope. A crash leaves nothing behind: the gateway or the poll comes again.
    """
    order, attempt = locked_payment(attempt_id)
    crash_point("settle.locked")
    if attempt.due_at is None:
        _close_unanswered(attempt, now)
    decided = verdict(OrderStatus(order.status), _facts_of(attempt, facts), facts)
    if decided.receives:
        _receive(order, attempt, facts, decided, now)
    elif decided.outcome is Outcome.TAKEN:
        _report_taken(order, attempt, facts, now)
    elif decided.attempt_to and decided.attempt_to != attempt.status:
        attempt.status = decided.attempt_to.value
        attempt.save(update_fields=["status"])
    if order.status == OrderStatus.PAID.value:
        wake(FULFIL)  # after a repeated notice too: while it held the order, a worker may have passed by
    return Settled(decided.outcome, OrderStatus(order.status), AttemptStatus(attempt.status), decided.problem)


def raise_exception(
    attempt: PaymentAttempt, kind: ExceptionKind, *, amount: int, currency: str, facts: dict[str, Any], now: datetime
) -> PaymentException:
    """Put money before a person: one open case per payment, kind and currency, which grows if more of the kind comes.
    `facts` say what happened (`case_words`).

    What could not be applied of an order is counted anew each time: the same devices may have been tried again. So is
    what was asked for where no gateway answers: nothing is known to have come.
    """
    case, is_new = PaymentException.objects.get_or_create(
        attempt=attempt,
        kind=kind.value,
        currency=currency,
        defaults={
            "enterprise_id": attempt.enterprise_id,
            "amount": amount,
            "facts": facts,
            "created_at": now,
        },
    )
    if not is_new:
        grown = amount if kind in COUNTED_ANEW else F("amount") + amount
        PaymentException.objects.filter(pk=case.pk).update(
            amount=grown, resolved_at=None, resolved_by="", resolution="", resolution_reason="", facts=facts
        )
    told = {"kind": kind.value, "amount": amount, "currency": currency, "payment": attempt.number}
    record_about(attempt.order, "payment.exception", actor="gateway", after={**told, **facts}, now=now)
    return case


def close_open_attempts(order: Order, *, now: datetime) -> None:
    """Nobody should pay the order's open codes any more: the poll closes them, which is now (F31)."""
    attempts = PaymentAttempt.objects.filter(order=order, status__in=[each.value for each in OPEN_ATTEMPTS])
    if attempts.update(due_at=now):
        wake(POLL)


def locked_payment(attempt_id: int) -> tuple[Order, PaymentAttempt]:
    """Order first, then attempt: the one order in which every service locks them (F23)."""
    order_id = PaymentAttempt.objects.values_list("order_id", flat=True).get(pk=attempt_id)
    order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
    return order, PaymentAttempt.objects.select_for_update(no_key=True).get(pk=attempt_id)


def _close_unanswered(attempt: PaymentAttempt, now: datetime) -> None:
    """The gateway has spoken after all, whatever it says: nobody has to ask it any more."""
    cases = PaymentException.objects.filter(attempt=attempt, kind=ExceptionKind.UNANSWERED.value, resolved_at=None)
    cases.update(resolved_at=now, resolved_by="gateway", resolution=Resolution.RETRY.value)


def _facts_of(attempt: PaymentAttempt, facts: GatewayFacts) -> AttemptFacts:
    if facts.number != attempt.number:
        raise ValueError("These facts are about another payment.")
    transaction_id = facts.transaction_id or None
    others = PaymentAttempt.objects.filter(provider=attempt.provider, transaction_id=transaction_id)
    taken = facts.state is GatewayState.PAID and others.exclude(pk=attempt.pk).exists()
    is_booked = MoneyEntry.objects.filter(kind=EntryKind.RECEIVED.value, source=_again(attempt, facts)).exists()
    return AttemptFacts(
        AttemptStatus(attempt.status),
        attempt.amount,
        attempt.currency,
        attempt.account.merchant.merchant_id,
        transaction_id if is_booked else attempt.transaction_id,
        taken,
    )


def _receive(order: Order, attempt: PaymentAttempt, facts: GatewayFacts, decided: Verdict, now: datetime) -> None:
    is_first = decided.attempt_to is AttemptStatus.PAID
    source = f"attempt:{attempt.pk}" if is_first else _again(attempt, facts)
    if facts.currency == attempt.currency:
        attempt.received += facts.amount
    if is_first:
        _mark_paid(order, attempt, facts, decided, now)
    attempt.save(update_fields=[*(PAID_FIELDS if is_first else ()), "received"])
    crash_point("settle.marked")
    _book(order, attempt, EntryKind.RECEIVED, facts, source, now)
    crash_point("settle.booked")
    if decided.order_to is OrderStatus.PAID:
        _mark_order_paid(order, attempt, now)
        crash_point("settle.order_paid")
    else:
        _book(order, attempt, EntryKind.UNAPPLIED, facts, source, now)
    if decided.problem:
        told = _case_facts(decided.problem, order, attempt, facts)
        case = raise_exception(
            attempt, decided.problem, amount=facts.amount, currency=facts.currency, facts=told, now=now
        )
        crash_point("settle.case_raised")
        if decided.problem is ExceptionKind.SECOND_PAYMENT:
            propose_refund(case, attempt, currency=facts.currency, now=now)


def _mark_paid(order: Order, attempt: PaymentAttempt, facts: GatewayFacts, decided: Verdict, now: datetime) -> None:
    attempt.status = AttemptStatus.PAID.value
    attempt.transaction_id = facts.transaction_id
    attempt.paid_amount, attempt.paid_currency = facts.amount, facts.currency
    attempt.paid_at = success_time(facts, created_at=attempt.created_at, now=now)
    attempt.learned_at = now
    attempt.due_at = None
    attempt.settles = decided.order_to is OrderStatus.PAID


def _mark_order_paid(order: Order, attempt: PaymentAttempt, now: datetime) -> None:
    """Queue the lines for the worker. The order was paid when the gateway says so, however late we learn (A16)."""
    before = order.status
    check_transition(OrderStatus(before), OrderStatus.PAID)
    order.status, order.paid_at, order.closed_at = OrderStatus.PAID.value, attempt.paid_at, None
    order.due_at, order.attempts_made = now, 0
    order.save(update_fields=["status", "paid_at", "closed_at", "due_at", "attempts_made"])
    OrderLine.objects.filter(order=order, status=LineStatus.WAITING.value).update(status=LineStatus.QUEUED.value)
    close_open_attempts(order, now=now)
    told = {"status": order.status, "payment": attempt.number, "amount": order.total, "currency": order.currency}
    at = order.paid_at or now
    record_about(order, "order.paid", actor="gateway", before={"status": before}, after=told, at=at, now=now)


def _book(
    order: Order, attempt: PaymentAttempt, kind: EntryKind, facts: GatewayFacts, source: str, now: datetime
) -> None:
    """One ledger row; its unique source is the last guard against booking twice (R1)."""
    MoneyEntry.objects.create(
        enterprise_id=order.enterprise_id,
        merchant_id=order.merchant_id,
        attempt=attempt,
        kind=kind.value,
        amount=facts.amount,
        currency=facts.currency,
        source=source,
        created_at=now,
    )


def _again(attempt: PaymentAttempt, facts: GatewayFacts) -> str:
    """Source of a further transaction of an attempt that is paid already."""
    return f"attempt:{attempt.pk}:{hashlib.sha256(facts.transaction_id.encode()).hexdigest()[:32]}"


def _report_taken(order: Order, attempt: PaymentAttempt, facts: GatewayFacts, now: datetime) -> None:
    """The gateway gave one transaction to two of our numbers: it counts once, and somebody has to ask the gateway."""
    why = "This gateway transaction is booked on another payment already."
    told = {"payment": attempt.number, "transaction": facts.transaction_id}
    record_about(order, "payment.exception", actor="gateway", why=why, after=told, now=now)


def _case_facts(problem: ExceptionKind, order: Order, attempt: PaymentAttempt, facts: GatewayFacts) -> dict[str, Any]:
    match problem:
        case ExceptionKind.AMOUNT_MISMATCH:
            paid = {"paid": facts.amount, "paid_currency": facts.currency}
            return {"code": "paid_otherwise", **paid, "asked": attempt.amount, "asked_currency": attempt.currency}
        case ExceptionKind.MERCHANT_MISMATCH:
            sold_by = attempt.account.merchant.merchant_id
            return {"code": "paid_to_another", "paid_to": facts.merchant_id[:64], "sold_by": sold_by}
        case ExceptionKind.LATE:
            return {"code": "paid_late", "order": order.number}
        case _:
            return {"code": "paid_twice", "transaction": facts.transaction_id, "order": order.number}
