"""Payment exceptions: one decision of a person for each case, from a closed table (R1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from billing.models import LineStatus, Order, OrderLine, PaymentAttempt, PaymentException, Refund, RefundLine
from billing.orders import ExceptionKind, OrderStatus, check_transition
from billing.refunds import RESOLUTIONS, SYSTEM, Effect, RefundStatus, Resolution
from billing.services.refunds import approve_refund, checked_reason, request_refund, request_refund_of_unused
from billing.services.settlement import FULFIL, POLL


class ResolutionRefused(Refused):
    """The case can't be resolved like this."""


@transaction.atomic
def resolve_exception(
    *, exception: PaymentException, resolution: Resolution, reason: str, by: str, now: datetime
) -> PaymentException:
    """Do what the person has chosen and close the case; the same choice again changes nothing (F33).

    A case that was closed by a refund opens again where that refund fails. Raises ResolutionRefused, RefundRefused.
    """
    reason = checked_reason(reason)
    case = _locked(exception)
    if case.resolved_at:
        if case.resolution == resolution.value:
            return case
        raise ResolutionRefused.because(_("This case is resolved already. Reload the page."))
    if resolution not in RESOLUTIONS[ExceptionKind(case.kind)]:
        raise ResolutionRefused.because(_("Choose one of the ways that this case offers."), "resolution")
    match resolution:
        case Resolution.REFUND:
            _refund(case, reason, by, now)
        case Resolution.RETRY if case.kind == ExceptionKind.UNANSWERED.value:
            _ask_again(case, now)
        case Resolution.RETRY:
            _try_again(case, by, now)
    case.resolved_at, case.resolved_by = now, by
    case.resolution, case.resolution_reason = resolution.value, reason
    case.save(update_fields=["resolved_at", "resolved_by", "resolution", "resolution_reason"])
    told = {"kind": case.kind, "resolution": resolution.value, "amount": case.amount, "currency": case.currency}
    record_about(case.attempt.order, "payment.exception_resolved", actor=by, why=reason, after=told, now=now)
    return case


def _locked(exception: PaymentException) -> PaymentException:
    """Order first, then payment, then the case (F23)."""
    attempt = PaymentAttempt.objects.only("order_id").get(pk=exception.attempt_id)
    Order.objects.select_for_update(no_key=True).get(pk=attempt.order_id)
    PaymentAttempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
    locked: PaymentException = PaymentException.objects.select_for_update(no_key=True).get(pk=exception.pk)
    return locked


def _refund(case: PaymentException, reason: str, by: str, now: datetime) -> None:
    order = case.attempt.order
    match ExceptionKind(case.kind):
        case ExceptionKind.LATE:
            request_refund(order=order, effect=Effect.SHORTEN, reason=reason, asked_by=by, now=now, case=case)
        case ExceptionKind.UNAPPLIED_LINES:
            ids = list(_unapplied(order).filter(refunded__lt=F("amount")).values_list("pk", flat=True))
            request_refund(
                order=order, line_ids=ids, effect=Effect.KEEP, reason=reason, asked_by=by, now=now, case=case
            )
        case _:
            _refund_unused(case, reason, by, now)


def _refund_unused(case: PaymentException, reason: str, by: str, now: datetime) -> None:
    """The proposal that the system has made, or a refund of what is left."""
    waiting = Refund.objects.filter(
        attempt=case.attempt_id, has_lines=False, requested_by=SYSTEM, currency=case.currency
    )
    if proposed := waiting.filter(status=RefundStatus.REQUESTED.value).first():
        approve_refund(refund=proposed, by=by, now=now)
        return
    request_refund_of_unused(
        attempt=case.attempt, currency=case.currency, reason=reason, asked_by=by, now=now, case=case
    )


def _try_again(case: PaymentException, by: str, now: datetime) -> None:
    """Queue the devices once more; what still can't be applied opens the case again (Q4)."""
    order = case.attempt.order
    lines = list(_unapplied(order).filter(refunded=0))
    if not lines or order.status != OrderStatus.PARTIALLY_FULFILLED.value:
        raise ResolutionRefused.because(_("No device of this order is left that could be tried again."))
    check_transition(OrderStatus(order.status), OrderStatus.PAID)
    for line in lines:
        line.status, line.reason, line.retries = LineStatus.QUEUED.value, "", line.retries + 1
    OrderLine.objects.bulk_update(lines, ["status", "reason", "retries"], batch_size=1_000)
    before, order.status = order.status, OrderStatus.PAID.value
    order.due_at, order.attempts_made, order.fulfilled_at = now, 0, None
    order.save(update_fields=["status", "due_at", "attempts_made", "fulfilled_at"])
    told = {"status": order.status, "devices": len(lines)}
    record_about(order, "order.retried", actor=by, before={"status": before}, after=told, now=now)
    wake(FULFIL)


def _ask_again(case: PaymentException, now: datetime) -> None:
    """Make the payment due; a gateway that is still silent opens the case again (R1)."""
    PaymentAttempt.objects.filter(pk=case.attempt_id).update(due_at=now)
    wake(POLL)


def _unapplied(order: Order) -> Any:
    """Lines that were not renewed and of which no refund is on its way."""
    live = RefundLine.objects.filter(line__order=order, is_live=True).values("line_id")
    rows = OrderLine.objects.filter(order=order, status=LineStatus.UNAPPLIED.value)
    return rows.exclude(pk__in=live).order_by("pk")
