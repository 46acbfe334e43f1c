"""Fulfilment: the lines of paid orders become periods, each exactly once (R2, Q4).

One slice is one transaction: devices renewed, lines marked, money booked. A killed worker leaves nothing half done;
whoever comes next starts at the first line that is still queued, and devices know a line they have seen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from amp.foundation.bulk import insert_rows, update_rows
from amp.foundation.crashing import crash_point
from amp.foundation.services.events import record_about
from amp.foundation.services.failures import is_conflict, is_database_trouble
from amp.foundation.wakeups import wake
from billing.models import EntryKind, LineStatus, MoneyEntry, Order, OrderLine, PaymentAttempt
from billing.orders import ExceptionKind, OrderStatus, check_transition
from billing.services.settlement import FULFIL, raise_exception
from devices.services.renewal import RenewalOutcome, RenewalRequest, renew_services

log = logging.getLogger(__name__)

SLICE = 1_000
GIVEN_UP = "given_up"
"""Why a line is unapplied that no rule refused: our own fault stopped it."""
LEASE = timedelta(seconds=30)
"""A slice takes a second or two; after this another worker may look whether the first one died."""
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600))
"""After the last one the order waits for a person (house pattern 3)."""
ENTRY_COLUMNS = (
    *("enterprise", "merchant", "attempt", "line", "kind", "amount", "currency", "source", "taken_from", "created_at"),
)


class _Line(NamedTuple):
    """What a slice needs of an `OrderLine`; field names are the model's."""

    pk: int
    device_id: int
    enterprise_id: int
    amount: int
    retries: int


class LinesStuck(Exception):
    """No line of a slice could be applied; nothing was changed."""


def fulfil_paid_orders(*, now: datetime, limit: int = 10) -> int:
    """Work on at most `limit` slices of due orders, oldest first; number of slices worked on."""
    for done in range(limit):
        order_id = _claim(now)
        if order_id is None:
            return done
        crash_point("fulfil.claimed")
        _work(order_id, now)
        crash_point("fulfil.committed")
    return limit


def stuck_orders() -> QuerySet[Order]:
    """Paid orders that the worker has given up: each waits for a person (house pattern 3)."""
    rows: QuerySet[Order] = Order.objects.filter(status=OrderStatus.PAID.value, due_at=None)
    return rows


def is_stuck(order: Order) -> bool:
    """Whether the worker has given the paid order up."""
    return order.status == OrderStatus.PAID.value and order.due_at is None


def leave_unapplied(order: Order, *, now: datetime) -> None:
    """End the work on a locked order that is stuck: what is queued is left unapplied, its money before a person (Q4).

    Call in a transaction. It can be tried again by that person's word, and given back like any unapplied money.
    """
    queued = OrderLine.objects.filter(order=order, status=LineStatus.QUEUED.value).order_by("pk")
    payment = PaymentAttempt.objects.filter(order=order, settles=True).first()
    if payment:
        head = (order.enterprise_id, order.merchant_id, payment.pk)
        rows = queued.filter(retries=0).values_list("pk", "amount")  # a retried line's money is unapplied already
        insert_rows(
            MoneyEntry,
            ENTRY_COLUMNS,
            [
                (*head, pk, EntryKind.UNAPPLIED.value, amount, order.currency, f"line:{pk}", "", now)
                for pk, amount in rows
            ],
        )
    queued.update(status=LineStatus.UNAPPLIED.value, reason=GIVEN_UP)
    _finish(order, payment, now)
    order.save(update_fields=["due_at", "status", "fulfilled_at"])


@transaction.atomic
def retry_fulfilment(*, order: Order, actor: str, now: datetime) -> Order:
    """Let the worker try again an order that it had given up."""
    locked: Order = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
    if locked.status == OrderStatus.PAID.value:
        locked.due_at, locked.attempts_made = now, 0
        locked.save(update_fields=["due_at", "attempts_made"])
        _record(locked, "order.retried", actor, now)
        wake(FULFIL)
    return locked


def _claim(now: datetime) -> int | None:
    """The next due order, leased, its counter raised before the work: a poisonous one shows."""
    with transaction.atomic():
        due = Order.objects.filter(status=OrderStatus.PAID.value, due_at__lte=now).order_by("due_at", "pk")
        order = due.select_for_update(skip_locked=True, no_key=True).first()
        if order is None:
            return None
        order.due_at, order.attempts_made = now + LEASE, order.attempts_made + 1
        order.save(update_fields=["due_at", "attempts_made"])
        return int(order.pk)


def _work(order_id: int, now: datetime, retries: int = 3) -> None:
    try:
        with transaction.atomic():
            _fulfil_slice(order_id, now)
    except Exception as failure:
        if retries and is_conflict(failure):  # F23: somebody who unlocks after a payment waits for no lease
            return _work(order_id, now, retries - 1)
        log.exception("Order %s could not be fulfilled this time.", order_id)
        _put_off(order_id, now)


def _fulfil_slice(order_id: int, now: datetime) -> None:
    order = Order.objects.select_for_update(no_key=True).get(pk=order_id)  # waits for a notice that is being settled
    if order.status != OrderStatus.PAID.value:
        return
    crash_point("fulfil.locked")
    queued = OrderLine.objects.filter(order=order, status=LineStatus.QUEUED.value).order_by("device_id")
    lines = [_Line(*values) for values in queued.values_list(*_Line._fields)[: SLICE + 1]]
    payment = PaymentAttempt.objects.filter(order=order, settles=True).first()
    applied = _apply_or_halve(order, payment, lines[:SLICE], now) if lines else 0
    if lines and not applied:
        raise LinesStuck(f"None of {len(lines)} devices could be renewed.")
    order.attempts_made, order.due_at = 0, now
    if applied == len(lines):
        _finish(order, payment, now)
    order.save(update_fields=["attempts_made", "due_at", "status", "fulfilled_at"])


def _apply_or_halve(order: Order, payment: PaymentAttempt | None, lines: Sequence[_Line], now: datetime) -> int:
    """Apply these lines; where that fails, their halves, until the fault stands alone: that line stays queued, the
    others go through (Q4, F15). Number of lines applied."""
    try:
        with transaction.atomic():
            _apply(order, payment, lines, now)
            return len(lines)
    except Exception as failure:
        if is_database_trouble(failure):
            raise
        if len(lines) == 1:
            log.exception("Line %s of order %s could not be applied this time.", lines[0].pk, order.pk)
            return 0
    middle = len(lines) // 2
    return sum(_apply_or_halve(order, payment, half, now) for half in (lines[:middle], lines[middle:]))


def _apply(order: Order, payment: PaymentAttempt | None, lines: Sequence[_Line], now: datetime) -> None:
    requests = [
        RenewalRequest(
            device_id=line.device_id,
            months=order.months,
            level_id=order.level_id,
            plan_name=order.plan_name,
            source=f"line:{line.pk}",
            # What could not be applied at payment starts when it can be: the customer could not use it before.
            paid_at=now if line.retries else order.paid_at or now,
            enterprise_id=line.enterprise_id,
        )
        for line in lines
    ]
    by_source = {each.source: each for each in renew_services(requests, actor=order.created_by, now=now)}
    outcomes = [(line, by_source[f"line:{line.pk}"]) for line in lines]
    crash_point("fulfil.renewed")
    update_rows(OrderLine, ("status", "ends_at", "reason"), [_marked(line, each) for line, each in outcomes])
    crash_point("fulfil.marked")
    if payment:
        booked = [(line, each) for line, each in outcomes if not (line.retries and each.refusal)]
        insert_rows(MoneyEntry, ENTRY_COLUMNS, [_entry(order, payment, line, each, now) for line, each in booked])
    crash_point("fulfil.booked")


def _marked(line: _Line, outcome: RenewalOutcome) -> tuple[object, ...]:
    return line.pk, _status(outcome).value, outcome.ends_at, outcome.refusal.value if outcome.refusal else ""


def _status(outcome: RenewalOutcome) -> LineStatus:
    return LineStatus.UNAPPLIED if outcome.refusal else LineStatus.APPLIED


def _entry(
    order: Order, payment: PaymentAttempt, line: _Line, outcome: RenewalOutcome, now: datetime
) -> tuple[object, ...]:
    kind = EntryKind.UNAPPLIED if outcome.refusal else EntryKind.APPLIED
    return (
        order.enterprise_id,
        order.merchant_id,
        payment.pk,
        line.pk,
        kind.value,
        line.amount,
        order.currency,
        outcome.source,
        EntryKind.UNAPPLIED.value if line.retries else "",
        now,
    )


def _finish(order: Order, payment: PaymentAttempt | None, now: datetime) -> None:
    """No line is queued any more. What couldn't be applied goes before a person, its money stays visible (Q4, F36)."""
    unapplied = OrderLine.objects.filter(order=order, status=LineStatus.UNAPPLIED.value)
    count = unapplied.count()
    to = OrderStatus.PARTIALLY_FULFILLED if count else OrderStatus.FULFILLED
    check_transition(OrderStatus(order.status), to)
    order.status, order.fulfilled_at, order.due_at = to.value, now, None
    if count and payment:
        amount = unapplied.aggregate(sum=Sum(F("amount") - F("refunded")))["sum"]
        facts = {"code": "not_renewed", "unapplied": count, "devices": order.line_count, "order": order.number}
        kind = ExceptionKind.UNAPPLIED_LINES
        if amount:
            raise_exception(payment, kind, amount=amount, currency=order.currency, facts=facts, now=now)
    _record(order, f"order.{to.value.lower()}", "system", now, unapplied=count)


def _put_off(order_id: int, now: datetime) -> None:
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
        if order.status != OrderStatus.PAID.value:
            return
        tried = order.attempts_made
        order.due_at = now + RETRIES[tried - 1] if 1 <= tried <= len(RETRIES) else None
        order.save(update_fields=["due_at"])
        if order.due_at is None:
            _record(order, "order.stuck", "system", now)


def _record(order: Order, kind: str, actor: str, now: datetime, unapplied: int = 0) -> None:
    told = {"status": order.status, "devices": order.line_count, "unapplied": unapplied}
    record_about(order, kind, actor=actor, now=now, after=told)
