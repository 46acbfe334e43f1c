"""What of payments waits: each with its number and the age of the oldest, set-based, within the reader's scope.

What waits for a person counts only where that person may be the reader: the seller's people move the seller's money.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q, QuerySet

from amp.foundation.access import Action, enterprises_where
from amp.foundation.bulk import among
from amp.foundation.models import User
from billing.models import BankPayout, BankReceipt, PaymentAttempt, PaymentException, Refund
from billing.orders import AttemptStatus
from billing.refunds import RefundStatus
from billing.services.bill_fetches import failed_fetches
from billing.services.fulfilment import stuck_orders
from billing.services.refund_work import stuck_refunds

FAILED_DAYS = timedelta(days=30)


class Waiting(StrEnum):
    """Kinds of waiting work."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    EXCEPTIONS = "exceptions"
    REQUESTED = "requested"
    REFUNDING = "refunding"
    REFUND_FAILED = "refund_failed"
    REFUND_STUCK = "refund_stuck"
    ORDERS_STUCK = "orders_stuck"
    RECEIPTS = "receipts"
    PAYOUTS = "payouts"
    BILLS = "bills"


FOR_PEOPLE = frozenset(Waiting) - {Waiting.PENDING, Waiting.UNKNOWN, Waiting.REFUNDING}
"""The rest moves by itself."""


class Heap(NamedTuple):
    """So many wait, the oldest since then."""

    number: int
    oldest: datetime | None


class Reader(NamedTuple):
    """Who looks: the person's name on records, and the enterprises in which the person may do what helps."""

    name: str
    resolves: Collection[int]
    refunds: Collection[int]
    approves: Collection[int]
    renews: Collection[int]
    records: Collection[int]
    confirms: Collection[int]
    keeps: Collection[int]


def reader_of(user: User) -> Reader:
    """What a member may do about payments, and where."""
    actions = (Action.RESOLVE_PAYMENTS, Action.REFUND, Action.APPROVE_REFUND, Action.RENEW)
    transfers = (Action.RECORD_TRANSFER, Action.CONFIRM_TRANSFER)
    places = [enterprises_where(user, each) for each in (*actions, *transfers, Action.KEEP_BOOKS)]
    return Reader(user.email, *places)


def backlog(*, reader: Reader, now: datetime) -> dict[Waiting, Heap]:
    """Everything that waits, as far as the reader can do something about it; eight queries, whatever there is.

    What moves by itself is counted wherever the reader may see it.
    """
    attempts = _counted(
        PaymentAttempt.objects.all(),
        "created_at",
        {
            Waiting.PENDING: Q(status__in=[AttemptStatus.PENDING.value, AttemptStatus.CREATED.value]),
            Waiting.UNKNOWN: Q(status=AttemptStatus.UNKNOWN.value),
        },
    )
    return {
        **attempts,
        **_counted(
            PaymentException.objects.filter(sold_by("attempt__order", reader.resolves)),
            "created_at",
            {Waiting.EXCEPTIONS: Q(resolved_at=None)},
        ),
        **_refunds(reader, now),
        **_counted(
            stuck_orders().filter(among("enterprise_id", reader.renews)), "paid_at", {Waiting.ORDERS_STUCK: Q()}
        ),
        **_counted(stuck_refunds().filter(sold_by("order", reader.refunds)), "ended_at", {Waiting.REFUND_STUCK: Q()}),
        **_counted(
            BankReceipt.objects.filter(_of_account(reader.confirms)).exclude(recorded_by=reader.name),
            "recorded_at",
            {Waiting.RECEIPTS: Q(confirmed_at=None, rejected_at=None)},
        ),
        **_counted(failed_fetches().filter(among("enterprise_id", reader.keeps)), "asked_at", {Waiting.BILLS: Q()}),
        Waiting.PAYOUTS: Heap(_payouts(reader).count(), None),
    }


def sold_by(order: str, places: Collection[int]) -> Q:
    """Rows whose order, at the path `order`, was sold by a merchant of these enterprises."""
    return Q(**{f"{order}__merchant__enterprise_id__in": list(places)})


def _of_account(places: Collection[int]) -> Q:
    return Q(account__enterprise_id__in=list(places))


def _payouts(reader: Reader) -> QuerySet[BankPayout]:
    """To be paid out, or paid out by somebody else."""
    to_pay = Q(recorded_at=None) & _of_account(reader.records)
    to_confirm = Q(recorded_at__isnull=False) & ~Q(recorded_by=reader.name) & _of_account(reader.confirms)
    rows: QuerySet[BankPayout] = BankPayout.objects.filter(to_pay | to_confirm, confirmed_at=None, rejected_at=None)
    return rows


def _refunds(reader: Reader, now: datetime) -> dict[Waiting, Heap]:
    at_gateway = [RefundStatus.APPROVED.value, RefundStatus.PROCESSING.value]
    approvable = sold_by("order", reader.approves) & ~Q(requested_by=reader.name)
    return _counted(
        Refund.objects.all(),
        "created_at",
        {
            Waiting.REQUESTED: Q(status=RefundStatus.REQUESTED.value) & approvable,
            Waiting.REFUNDING: Q(status__in=at_gateway),
            Waiting.REFUND_FAILED: Q(status=RefundStatus.FAILED.value, created_at__gte=now - FAILED_DAYS)
            & sold_by("order", reader.refunds),
        },
    )


def _counted(rows: QuerySet[Any], moment: str, kinds: dict[Waiting, Q]) -> dict[Waiting, Heap]:
    """One query for all kinds of a table."""
    figures: dict[str, Any] = {}
    for kind, condition in kinds.items():
        figures[f"{kind.value}_number"] = Count("pk", filter=condition or None)
        figures[f"{kind.value}_oldest"] = Min(moment, filter=condition or None)
    found = rows.filter(reduce(or_, kinds.values())).aggregate(**figures)
    return {kind: Heap(found[f"{kind.value}_number"], found[f"{kind.value}_oldest"]) for kind in kinds}
