"""Asking gateways: what a notice should have told us may be asked for at any time (F26), and a code can be closed.

The gateway is called outside any transaction; before that, the row's next moment is pushed ahead, so that two workers
never ask at once and a killed one is followed by the next.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from amp.foundation.crashing import crash_point
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import record_about
from billing.models import Order, PaymentAttempt
from billing.orders import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ExceptionKind,
    GatewayFacts,
    GatewayState,
    OrderStatus,
    check_transition,
    next_late_query,
    next_query,
)
from billing.providers.protocol import GatewayRefused, GatewayTimeout
from billing.providers.registry import BY_HAND
from billing.services.accounts import gateway_of_attempt
from billing.services.attempts import OPEN, ask_for_code
from billing.services.settlement import locked_payment, raise_exception, settle
from billing.wallets import stand_side_by_side

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
REFRESH = timedelta(seconds=2)
"""A page that refreshes itself asks the gateway at most this often."""
PATIENCE = timedelta(hours=1)
"""An order outlives its expiry while the gateway is silent, but not for ever: a late payment is honoured anyway."""


def poll_due_attempts(*, now: datetime, wall: datetime, limit: int = 10) -> int:
    """Query attempts whose moment has come, and plan the next query; number of attempts taken.

    A gateway that doesn't answer costs one timeout in a slice: its other attempts wait for their lease to end.
    """
    taken = _claim(now, limit)
    crash_point("poll.claimed")
    silent: set[int] = set()
    for attempt in taken:
        if attempt.account_id in silent:
            continue
        is_answered = _asked(attempt, must_close=_is_superseded(attempt, now), now=now, wall=wall)
        if not is_answered:
            silent.add(attempt.account_id)
        _plan_next(attempt, now, is_answered=is_answered)
    return len(taken)


def expire_due_orders(*, now: datetime, wall: datetime, limit: int = 10) -> int:
    """End orders that nobody paid in time: query, close, query again, then EXPIRED; number of orders taken."""
    taken = _claim_orders(now, limit)
    crash_point("expire.claimed")
    for order in taken:
        if _is_closed_at_gateways(order, now, wall) or now >= order.expires_at + PATIENCE:
            crash_point("expire.closed")
            _expire(order.pk, now)
    return len(taken)


def refresh_attempt(*, attempt: PaymentAttempt, now: datetime, wall: datetime) -> PaymentAttempt:
    """For a page that waits: ask the gateway, at most every 2 s, and return the attempt as it stands.

    The browser is never believed; it only makes us ask. A silent gateway changes nothing and raises nothing.
    """
    with system_scope():
        stored: PaymentAttempt = PaymentAttempt.objects.get(pk=attempt.pk)
        asked_lately = Q(queried_at__gt=now - REFRESH, queried_at__lte=now)
        may_ask = PaymentAttempt.objects.filter(pk=attempt.pk, status__in=OPEN).exclude(asked_lately)
        if not may_ask.update(queried_at=now):
            return stored
        _asked(stored, must_close=False, now=now, wall=wall)
        stored.refresh_from_db()
        return stored


def _claim(now: datetime, limit: int) -> list[PaymentAttempt]:
    with transaction.atomic():
        due = PaymentAttempt.objects.filter(due_at__lte=now).order_by("due_at", "pk")
        taken = list(due.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
        PaymentAttempt.objects.filter(pk__in=[attempt.pk for attempt in taken]).update(
            due_at=now + LEASE, queried_at=now, queries=F("queries") + 1
        )
        return taken


def _asked(attempt: PaymentAttempt, *, must_close: bool, now: datetime, wall: datetime) -> bool:
    """Whether the gateway could be asked. One poisonous payment, whatever it raises, holds up no other."""
    try:
        _ask(attempt, must_close=must_close, now=now, wall=wall)
    except (GatewayTimeout, GatewayRefused) as lost:
        log.warning("Payment %s could not be queried: %s", attempt.number, lost)
        return False
    except Exception:
        log.exception("Payment %s could not be queried.", attempt.number)
        return False
    return True


def _ask(attempt: PaymentAttempt, *, must_close: bool, now: datetime, wall: datetime) -> None:
    """Query; close and query again where nobody should pay any more; ask for the code where it was lost."""
    gateway = gateway_of_attempt(attempt)
    facts = gateway.query(attempt.number, wall=wall)
    crash_point("poll.answered")
    settle(attempt_id=attempt.pk, facts=facts, now=now)
    if facts.state is GatewayState.PAID:
        return
    if must_close and attempt.status in OPEN:
        gateway.close(attempt.number, wall=wall)
        crash_point("poll.closed")
        facts = gateway.query(attempt.number, wall=wall)
        if facts.state is not GatewayState.PAID:  # also where the gateway never heard of it: our side is closed
            facts = GatewayFacts(attempt.number, GatewayState.CLOSED)
        settle(attempt_id=attempt.pk, facts=facts, now=now)
    elif not attempt.code and attempt.status in {AttemptStatus.CREATED.value, AttemptStatus.UNKNOWN.value}:
        ask_for_code(attempt=attempt, now=now, wall=wall)


def _is_superseded(attempt: PaymentAttempt, now: datetime) -> bool:
    """Nobody should pay this one any more: its order ended or is paid, its time is over, or a newer code is shown.

    The two wallets of one code stand side by side: who scans with the other one ends nobody's payment.
    """
    if attempt.order.status != OrderStatus.PENDING.value or attempt.expires_at <= now:
        return True
    newer = PaymentAttempt.objects.filter(order_id=attempt.order_id, pk__gt=attempt.pk)
    return newer.exclude(provider__in=stand_side_by_side(attempt.provider)).exists()


def _plan_next(attempt: PaymentAttempt, now: datetime, *, is_answered: bool) -> None:
    """After the last late check nobody asks again, unless that one wasn't answered: the money may be there (R1).

    A bank transfer has no gateway: what people confirm settles it at once, so it is taken up only to be closed.
    """
    due_at = next_query(created_at=attempt.created_at, expires_at=attempt.expires_at, now=now)
    if is_answered and attempt.provider in BY_HAND:
        due_at = None
    if due_at is None and not is_answered:
        due_at = next_late_query(expires_at=attempt.expires_at, asked=attempt.queries + 1, now=now)
        if due_at is None:
            _leave_to_a_person(attempt, now)
            return
    _leased(attempt, now).update(due_at=due_at)


def _leased(attempt: PaymentAttempt, now: datetime) -> QuerySet[PaymentAttempt]:
    """The payment, while it is ours to plan and nothing has settled it."""
    settled = [AttemptStatus.PAID.value, AttemptStatus.FAILED.value]
    rows: QuerySet[PaymentAttempt] = PaymentAttempt.objects.filter(pk=attempt.pk, due_at=now + LEASE)
    return rows.exclude(status__in=settled)


@transaction.atomic
def _leave_to_a_person(attempt: PaymentAttempt, now: datetime) -> None:
    """The gateway was asked for a week and never answered: never silence, but a case with "ask again" (R1)."""
    order, stored = locked_payment(attempt.pk)
    if not _leased(attempt, now).update(due_at=None):
        return
    told = {"code": "never_answered", "order": order.number, "asked": stored.queries}
    raise_exception(
        stored, ExceptionKind.UNANSWERED, amount=stored.amount, currency=stored.currency, facts=told, now=now
    )


def _claim_orders(now: datetime, limit: int) -> Sequence[Order]:
    with transaction.atomic():
        due = Order.objects.filter(status=OrderStatus.PENDING.value, due_at__lte=now, expires_at__lte=now)
        taken = list(due.order_by("due_at", "pk").select_for_update(skip_locked=True, no_key=True)[:limit])
        Order.objects.filter(pk__in=[order.pk for order in taken]).update(due_at=now + LEASE)
        return taken


def _is_closed_at_gateways(order: Order, now: datetime, wall: datetime) -> bool:
    open_ones = PaymentAttempt.objects.filter(order=order, status__in=[status.value for status in OPEN_ATTEMPTS])
    return all(_asked(attempt, must_close=True, now=now, wall=wall) for attempt in open_ones.order_by("pk"))


@transaction.atomic
def _expire(order_id: int, now: datetime) -> None:
    order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
    if order.status != OrderStatus.PENDING.value:
        return
    check_transition(OrderStatus(order.status), OrderStatus.EXPIRED)
    order.status, order.closed_at, order.due_at = OrderStatus.EXPIRED.value, now, None
    order.save(update_fields=["status", "closed_at", "due_at"])
    # The order fell due at its expiry, however late the sweep is (A17).
    record_about(
        order,
        "order.expired",
        actor="sweep",
        at=order.expires_at,
        now=now,
        before={"status": OrderStatus.PENDING.value},
        after={"status": order.status},
    )
