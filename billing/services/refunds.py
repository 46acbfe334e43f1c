"""Refunds: what can be given back, asking for it, and the word of a second person (F44, Q4).

Locks go the way of every service of money: order, payment, refund, then devices (F23). The gateway is called elsewhere,
outside any transaction (`refund_work`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, OuterRef, Subquery, Sum
from django.utils.translation import gettext as _

from amp.foundation.bulk import insert_rows
from amp.foundation.crashing import crash_point
from amp.foundation.services.configuration import refund_threshold
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from billing.models import LineStatus, Order, OrderLine, PaymentAttempt, PaymentException, Refund, RefundLine
from billing.orders import ExceptionKind, OrderStatus
from billing.refunds import LIVE, SYSTEM, UNUSED_KINDS, Effect, RefundStatus, check_step, needs_another
from billing.services.fulfilment import is_stuck, leave_unapplied
from billing.services.refund_once import Once, made_before, once_of
from billing.services.refund_proposals import given_back, make_refund, record_refund, reserve, unused_money
from billing.services.refund_quotes import RefundQuote, plan_refund, quote_refund

WORK = "billing.tasks.work_refunds"
MAX_REASON = 200
MOST_DAYS = 30 * 366
LINE_COLUMNS = ("enterprise", "refund", "line", "amount", "is_live", "wanted_seconds", "taken_seconds", "ends_at")
UNRESOLVED: dict[str, Any] = {"resolved_at": None, "resolved_by": "", "resolution": ""}
FINISHED = {OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value}


class RefundRefused(Refused):
    """Nothing can be refunded like this."""


def request_refund(
    *,
    order: Order,
    effect: Effect,
    reason: str,
    asked_by: str,
    now: datetime,
    amount: int | None = None,
    line_ids: Sequence[int] | None = None,
    days: int | None = None,
    once_key: str | None = None,
    case: PaymentException | None = None,
) -> Refund:
    """Ask to give back `amount` of the order or of some lines, all of it where None; the same key asks once (F33).

    Up to the platform's threshold it is approved with that, above it another person approves; refunds of one payment
    count together, so that many small ones are no way around it. `days` says how much time
    to take from the one device that is refunded; else it is what the amount is worth.
    Raises RefundRefused and OnceKeyReused; never refunds more than was paid, whoever asks at once (F44).
    """
    reason = checked_reason(reason)
    once = once_of(once_key, asked_by, [order.pk, amount, sorted(set(line_ids or ())), days, effect.value, reason])
    if known := made_before(once):
        return known
    try:
        with transaction.atomic():
            attempt = _locked_payment(order, once, now)
            if isinstance(attempt, Refund):  # the other click was first, and we waited for its lock
                return attempt
            return _requested(attempt, effect, reason, asked_by, now, amount, line_ids, days, once, case)
    except IntegrityError:  # the other click of a double click was first
        if known := made_before(once):
            return known
        raise


@transaction.atomic
def request_refund_of_unused(
    *, attempt: PaymentAttempt, currency: str, reason: str, asked_by: str, now: datetime, case: PaymentException | None
) -> Refund:
    """Ask to give back what no line has used of a payment; no device is touched. Raises RefundRefused."""
    reason = checked_reason(reason)
    Order.objects.select_for_update(no_key=True).get(pk=attempt.order_id)
    attempt = PaymentAttempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
    amount = unused_money(attempt, currency)
    live = Refund.objects.filter(attempt=attempt, has_lines=False, status__in=[each.value for each in LIVE])
    if amount <= 0 or live.exists():  # one at a time: what came since waits for its end
        raise RefundRefused.because(_("This money is refunded already, or a refund of it is on its way."))
    return _asked(
        make_refund(
            attempt,
            amount,
            currency,
            reason,
            Effect.KEEP,
            has_lines=False,
            asked_by=asked_by,
            now=now,
            case=case,
            needs_two=needs_another(given_back(attempt, currency) + amount, refund_threshold()),
        ),
        now,
    )


@transaction.atomic
def approve_refund(*, refund: Refund, by: str, now: datetime) -> Refund:
    """Let it go to the gateway. Who asked can't approve (F44); a proposal of the system is taken up in one's own name.

    Above the threshold somebody who takes up a proposal has asked for it: yet another person approves.
    Approving again changes nothing. Raises RefundRefused.
    """
    refund = locked_refund(refund)
    if refund.status in {RefundStatus.PROCESSING.value, RefundStatus.SUCCEEDED.value, RefundStatus.APPROVED.value}:
        return refund
    if refund.status != RefundStatus.REQUESTED.value:
        raise RefundRefused.because(_("This refund has failed or was rejected. Ask for another one."))
    if refund.requested_by == SYSTEM:
        return _taken_up(refund, by, now)
    if refund.requested_by == by:
        raise RefundRefused.because(_("Another person has to approve this refund: you asked for it."))
    return _approved(refund, by, now)


@transaction.atomic
def reject_refund(*, refund: Refund, by: str, reason: str, now: datetime) -> Refund:
    """Don't give it back; the money stays where it was, and a case that it was to resolve is open again.

    Raises RefundRefused once it is approved: the gateway may have it.
    """
    reason = checked_reason(reason)
    refund = locked_refund(refund)
    if refund.status == RefundStatus.FAILED.value:
        return refund
    if refund.status != RefundStatus.REQUESTED.value:
        raise RefundRefused.because(_("This refund is approved already: the gateway may have paid it."))
    fail(refund, problem=reason, kind="refund.rejected", actor=by, now=now)
    return refund


def fail(refund: Refund, *, problem: str, kind: str, actor: str, now: datetime) -> None:
    """End a locked refund without money: what it had reserved is free again, its case is open again."""
    before = refund.status
    check_step(RefundStatus(before), RefundStatus.FAILED)
    refund.status, refund.problem = RefundStatus.FAILED.value, problem[:300]
    refund.ended_at, refund.due_at = now, None
    refund.save(update_fields=["status", "problem", "ended_at", "due_at"])
    crash_point("refund.failed")
    _count_lines(refund, -1)
    RefundLine.objects.filter(refund=refund).update(is_live=False)
    reserve(refund.attempt, -refund.amount, refund.currency)
    crash_point("refund.released")
    _open_cases(refund)
    record_refund(refund, kind, actor=actor, why=problem, before=before, now=now)


def locked_refund(refund: Refund) -> Refund:
    """Order first, then payment, then refund (F23)."""
    Order.objects.select_for_update(no_key=True).get(pk=refund.order_id)
    PaymentAttempt.objects.select_for_update(no_key=True).get(pk=refund.attempt_id)
    locked: Refund = Refund.objects.select_for_update(no_key=True).get(pk=refund.pk)
    return locked


def checked_reason(reason: str) -> str:
    """The reason as the record keeps it. Raises RefundRefused."""
    reason = " ".join(reason.split())
    if not reason.isprintable() or not 1 <= len(reason) <= MAX_REASON:
        raise RefundRefused.because(_("Say why in 1 to 200 characters; the record keeps it."), "reason")
    return reason


def _requested(
    attempt: PaymentAttempt,
    effect: Effect,
    reason: str,
    asked_by: str,
    now: datetime,
    amount: int | None,
    line_ids: Sequence[int] | None,
    days: int | None,
    once: Once | None,
    case: PaymentException | None,
) -> Refund:
    quoted = quote_refund(order=attempt.order, now=now, line_ids=line_ids)
    if not quoted.lines or (line_ids is not None and len(quoted.lines) != len(set(line_ids))):
        message = _("Some of this is refunded already, or a refund of it is on its way. Reload the page.")
        raise RefundRefused.because(message, "lines")
    amount = quoted.refundable if amount is None else amount
    check_wish(amount, days, quoted)
    refund = make_refund(
        attempt,
        amount,
        attempt.currency,
        reason,
        effect,
        has_lines=True,
        asked_by=asked_by,
        now=now,
        case=case,
        **(once._asdict() if once else {}),
        needs_two=needs_another(attempt.refunded + amount, refund_threshold()),
    )
    rows = [
        (each.line.enterprise_id, refund.pk, each.line.pk, each.amount, True, each.seconds, None, None)
        for each in plan_refund(quoted, amount=amount, effect=effect, days=days, now=now)
    ]
    insert_rows(RefundLine, LINE_COLUMNS, rows)
    _count_lines(refund, 1)
    return _asked(refund, now)


def check_wish(amount: int, days: int | None, quoted: RefundQuote) -> None:
    """Raise RefundRefused where the amount or the days can't be."""
    if not 0 < amount <= quoted.refundable:
        raise RefundRefused.because(_("Refund at least the smallest unit, and at most what is left."), "amount")
    if days is not None and not 0 <= days <= MOST_DAYS:
        raise RefundRefused.because(_("Take between 0 and 10,980 days."), "days")
    if days is not None and len(quoted.lines) > 1:
        raise RefundRefused.because(_("Days can be chosen for a single device only."), "days")


def _asked(refund: Refund, now: datetime) -> Refund:
    """Reserve the money, and approve what needs nobody else."""
    crash_point("refund.made")
    reserve(refund.attempt, refund.amount, refund.currency)
    crash_point("refund.reserved")
    return refund if refund.needs_two else _approved(refund, refund.requested_by, now)


def _taken_up(refund: Refund, by: str, now: datetime) -> Refund:
    total = given_back(refund.attempt, refund.currency)
    refund.requested_by, refund.needs_two = by, needs_another(total, refund_threshold())
    refund.save(update_fields=["requested_by", "needs_two"])
    record_refund(refund, "refund.taken_up", actor=by, now=now)
    return refund if refund.needs_two else _approved(refund, by, now)


def _approved(refund: Refund, by: str, now: datetime) -> Refund:
    before = refund.status
    check_step(RefundStatus(before), RefundStatus.APPROVED)
    refund.status, refund.approved_by, refund.approved_at = RefundStatus.APPROVED.value, by, now
    refund.due_at = now
    refund.save(update_fields=["status", "approved_by", "approved_at", "due_at"])
    crash_point("refund.approved")
    record_refund(refund, "refund.approved", actor=by, before=before, now=now)
    wake(WORK)
    return refund


def _open_cases(refund: Refund) -> None:
    """The case that the refund was to resolve, and those that were closed while it was on its way: their money lies
    unapplied again, whoever had asked for the refund (R1)."""
    cases = PaymentException.objects.filter(attempt=refund.attempt_id)
    PaymentException.objects.filter(refunds=refund).update(**UNRESOLVED)
    closed = cases.filter(resolved_at__gte=refund.created_at)
    if not refund.has_lines:
        kinds = [each.value for each in UNUSED_KINDS]
        closed.filter(kind__in=kinds, currency=refund.currency).update(**UNRESOLVED)
    unapplied = OrderLine.objects.filter(order=refund.order_id, status=LineStatus.UNAPPLIED.value)
    if unapplied.filter(refund_lines__refund=refund).exists():
        amount = unapplied.aggregate(sum=Sum(F("amount") - F("refunded")))["sum"]
        closed.filter(kind=ExceptionKind.UNAPPLIED_LINES.value).update(amount=amount, **UNRESOLVED)


def _count_lines(refund: Refund, sign: int) -> None:
    """Count the lines' parts as given back, or no longer; the database refuses more than a line cost (F44)."""
    part = RefundLine.objects.filter(refund=refund, line_id=OuterRef("pk")).values("amount")[:1]
    lines = OrderLine.objects.filter(pk__in=RefundLine.objects.filter(refund=refund).values("line_id"))
    lines.update(refunded=F("refunded") + sign * Subquery(part))


def _locked_payment(order: Order, once: Once | None, now: datetime) -> PaymentAttempt | Refund:
    """The payment that settled the order, locked after it, or what this key has asked for while we waited.

    What the worker has given up of the order is left unapplied from now on, so that its money can go back (Q4).
    Raises RefundRefused where there is nothing to give back.
    """
    locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
    if known := made_before(once):
        return known
    if is_stuck(locked):
        leave_unapplied(locked, now=now)
    if locked.status == OrderStatus.PAID.value:
        raise RefundRefused.because(_("Its devices are still being renewed. Refund it when that is done."))
    if locked.status not in FINISHED:
        raise RefundRefused.because(_("Only a paid order can be refunded, and only once in full."))
    attempt = PaymentAttempt.objects.select_for_update(no_key=True).filter(order=locked, settles=True).first()
    if attempt is None:
        raise RefundRefused.because(_("This order cost nothing: there is nothing to give back."))
    return attempt
