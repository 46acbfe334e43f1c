"""What becomes of approved refunds: sent, asked about until the gateway says how they ended, then taken from devices.

The gateway is called outside any transaction. A refund is PROCESSING on the record before the first call, its number is
the same in every call, and from the second call on we ask first: whatever is killed, money goes back once (F45).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from amp.foundation.bulk import insert_rows
from amp.foundation.crashing import crash_point
from amp.foundation.services.events import record_about
from amp.foundation.wakeups import wake
from billing.models import (
    EntryKind,
    LineStatus,
    MoneyEntry,
    Order,
    OrderLine,
    PaymentException,
    Refund,
    RefundLine,
)
from billing.orders import ExceptionKind, OrderStatus, check_transition
from billing.providers.protocol import GatewayRefused, GatewayTimeout, RefundFacts, RefundState
from billing.refunds import UNUSED_KINDS, RefundStatus, Resolution, check_step, next_ask
from billing.services.accounts import gateway_of_attempt
from billing.services.fulfilment import ENTRY_COLUMNS
from billing.services.refund_effects import take_time
from billing.services.refund_proposals import record_refund, unused_money
from billing.services.refunds import WORK, fail, locked_refund

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
AT_GATEWAY = (RefundStatus.APPROVED.value, RefundStatus.PROCESSING.value)


def work_refunds(*, now: datetime, wall: datetime, limit: int = 10) -> int:
    """One step of each due refund: a call to its gateway, or a slice of its devices; number of refunds taken."""
    taken = _claim(now, limit)
    crash_point("refund.claimed")
    for refund in taken:
        if refund.status == RefundStatus.SUCCEEDED.value:
            take_time(refund, now)
        else:
            _call(refund, now, wall)
    return len(taken)


def settle_refund(*, refund_id: int, facts: RefundFacts, now: datetime, problem: str = "") -> Refund:
    """Store what the gateway's word means for one refund; safe to repeat with any word in any order.

    Only SUCCEEDED books money, once; a stale word after the end changes nothing. Runs in the system's scope.
    """
    with transaction.atomic():
        refund = locked_refund(Refund.objects.get(pk=refund_id))
        if facts.number != refund.number:
            raise ValueError("These facts are about another refund.")
        if refund.status != RefundStatus.PROCESSING.value:
            return refund
        if facts.state is RefundState.SUCCEEDED and facts.amount == refund.amount:
            _succeed(refund, now)
        elif facts.state is RefundState.SUCCEEDED:
            Refund.objects.filter(pk=refund.pk).update(problem=f"The gateway says {facts.amount} (minor units).")
        elif facts.state is RefundState.FAILED:
            why = problem or "The gateway could not pay it."
            fail(refund, problem=why, kind="refund.failed", actor="gateway", now=now)
        return refund


def stuck_refunds() -> QuerySet[Refund]:
    """Refunds whose money is back and of whose devices the worker has given up some: each waits for a person."""
    undone = RefundLine.objects.filter(taken_seconds=None, refund__status=RefundStatus.SUCCEEDED.value)
    rows: QuerySet[Refund] = Refund.objects.filter(due_at=None, pk__in=undone.values("refund_id"))
    return rows


@transaction.atomic
def retry_refund(*, refund: Refund, actor: str, now: datetime) -> Refund:
    """Let the worker look again now, also at devices that it had given up."""
    refund = locked_refund(refund)
    undone = RefundLine.objects.filter(refund=refund, taken_seconds=None).exists()
    works = refund.status in AT_GATEWAY or (refund.status == RefundStatus.SUCCEEDED.value and undone)
    if works:
        refund.due_at = now
        refund.attempts_made = refund.attempts_made if refund.status in AT_GATEWAY else 0
        refund.save(update_fields=["due_at", "attempts_made"])
        record_refund(refund, "refund.retried", actor=actor, now=now)
        wake(WORK)
    return refund


@transaction.atomic
def _claim(now: datetime, limit: int) -> list[Refund]:
    """Due refunds, leased, the counter raised and the state on record before anybody is called."""
    due = Refund.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    taken = list(due.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
    for refund in taken:
        before = refund.status
        refund.due_at, refund.attempts_made = now + LEASE, refund.attempts_made + 1
        if before == RefundStatus.APPROVED.value:
            check_step(RefundStatus(before), RefundStatus.PROCESSING)
            refund.status = RefundStatus.PROCESSING.value
            record_refund(refund, "refund.sent", actor="system", before=before, now=now)
        refund.save(update_fields=["due_at", "attempts_made", "status"])
    return taken


def _call(refund: Refund, now: datetime, wall: datetime) -> None:
    """One poisonous refund, whatever it raises, holds up no other."""
    try:
        facts, problem = _asked(refund, wall)
        crash_point("refund.answered")
        settle_refund(refund_id=refund.pk, facts=facts, problem=problem, now=now)
        crash_point("refund.settled")
    except (GatewayTimeout, GatewayRefused) as lost:
        log.warning("Refund %s: the gateway gave no answer: %s", refund.number, lost)
    except Exception:
        log.exception("Refund %s could not be worked on.", refund.number)
    waiting = Refund.objects.filter(pk=refund.pk, status=RefundStatus.PROCESSING.value, due_at=now + LEASE)
    waiting.update(due_at=next_ask(refund.attempts_made, now))


def _asked(refund: Refund, wall: datetime) -> tuple[RefundFacts, str]:
    """The gateway's word. A refusal counts only once the gateway says that it knows of no such refund either."""
    gateway = gateway_of_attempt(refund.attempt)
    if refund.attempts_made > 1:
        known = gateway.query_refund(refund.number, number=refund.attempt.number, wall=wall)
        if known.state is not RefundState.NOT_FOUND:
            return known, ""
    try:
        told = gateway.refund(refund.attempt.number, refund_number=refund.number, amount=refund.amount, wall=wall)
    except GatewayRefused as refused:
        known = gateway.query_refund(refund.number, number=refund.attempt.number, wall=wall)
        if known.state is RefundState.NOT_FOUND:
            return RefundFacts(refund.number, RefundState.FAILED), str(refused)
        return known, ""
    return told, ""


def _succeed(refund: Refund, now: datetime) -> None:
    """The money is back: book it, free the lines for another refund, and let the worker see to the devices."""
    before = refund.status
    check_step(RefundStatus(before), RefundStatus.SUCCEEDED)
    refund.status, refund.ended_at, refund.problem = RefundStatus.SUCCEEDED.value, now, ""
    lines = RefundLine.objects.filter(refund=refund)
    lines.update(is_live=False)
    lines.filter(wanted_seconds=0).update(taken_seconds=0)
    is_due = lines.filter(taken_seconds=None).exists()
    refund.due_at, refund.attempts_made = now if is_due else None, 0
    refund.save(update_fields=["status", "ended_at", "problem", "due_at", "attempts_made"])
    crash_point("refund.succeeded")
    _book(refund, now)
    crash_point("refund.booked")
    _close_cases(refund, now)
    crash_point("refund.cases_closed")
    is_whole = _refund_order(refund, now)
    record_refund(refund, "order.refunded", actor="gateway", before=before, now=now, in_full=is_whole)
    if is_due:
        wake(WORK)


def _book(refund: Refund, now: datetime) -> None:
    """One movement for each line, out of the pot in which its money lay; the unique source is the last guard (R1)."""
    merchant_id = refund.order.merchant_id
    head = (refund.enterprise_id, merchant_id, refund.attempt_id)
    kind, unapplied, currency = EntryKind.REFUNDED.value, EntryKind.UNAPPLIED.value, refund.currency
    rows: list[tuple[object, ...]] = [
        (*head, line_id, kind, amount, currency, f"refund:{refund.pk}:{line_id}", _pot(status), now)
        for line_id, amount, status in RefundLine.objects.filter(refund=refund).values_list(
            "line_id", "amount", "line__status"
        )
    ]
    if not refund.has_lines:
        rows = [(*head, None, kind, refund.amount, currency, f"refund:{refund.pk}", unapplied, now)]
    insert_rows(MoneyEntry, ENTRY_COLUMNS, rows)


def _pot(status: str) -> str:
    return EntryKind.APPLIED.value if status == LineStatus.APPLIED.value else EntryKind.UNAPPLIED.value


def _refund_order(refund: Refund, now: datetime) -> bool:
    """REFUNDED only once every line is given back in full (Q2)."""
    order = Order.objects.get(pk=refund.order_id)
    done = RefundLine.objects.filter(line__order=order, refund__status=RefundStatus.SUCCEEDED.value)
    back = done.aggregate(sum=Sum("amount"))["sum"] or 0
    if not refund.has_lines or back != order.total:
        return False
    before = order.status
    check_transition(OrderStatus(before), OrderStatus.REFUNDED)
    order.status, order.closed_at, order.due_at = OrderStatus.REFUNDED.value, now, None
    order.save(update_fields=["status", "closed_at", "due_at"])
    told = {"status": order.status, "refund": refund.number}
    record_about(order, "order.refunded_in_full", actor="gateway", before={"status": before}, after=told, now=now)
    return True


def _close_cases(refund: Refund, now: datetime) -> None:
    """Cases whose money is all back need nobody any more, whichever way the refund was asked for."""
    closed = set() if unused_money(refund.attempt, refund.currency) else {each.value for each in UNUSED_KINDS}
    left = OrderLine.objects.filter(order=refund.order_id, status=LineStatus.UNAPPLIED.value)
    left = left.filter(refunded__lt=F("amount"))
    if not left.exists():
        closed.add(ExceptionKind.UNAPPLIED_LINES.value)
    cases = PaymentException.objects.filter(
        attempt=refund.attempt_id, kind__in=closed, currency=refund.currency, resolved_at=None
    )
    cases.update(
        resolved_at=now,
        resolved_by=refund.requested_by,
        resolution=Resolution.REFUND.value,
        resolution_reason=refund.reason,
    )
