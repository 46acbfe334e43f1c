"""After the database was restored from a backup: the gateways know of money that we no longer remember (X7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from amp.foundation.wakeups import wake
from billing.models import MerchantAccount, PaymentAttempt, Refund
from billing.orders import AttemptStatus
from billing.providers.registry import BILLS
from billing.refunds import RefundStatus
from billing.services.bill_fetches import WORK as FETCH_BILLS
from billing.services.refunds import WORK as WORK_REFUNDS
from billing.services.settlement import POLL

LOOK_BACK = timedelta(days=30)
"""How long before the backup a payment may have been asked for that came after it; a bank transfer waits longest."""


class ToAsk(NamedTuple):
    """What the sweeps will now ask the gateways about."""

    payments: int
    refunds: int
    bills: int


def reconcile_with_gateways(*, since: datetime, now: datetime) -> ToAsk:
    """Make due, at once, every payment and refund that may have moved after `since`, the moment of the backup, and the
    daily bills of the days since.

    The sweeps then ask as always: who paid after the backup is served, who was paid back is told from who was not.
    Orders and refunds that were made after the backup are in no row of ours: only the bills still know of them.
    """
    open_ones = Q(created_at__gte=since - LOOK_BACK) & ~Q(status=AttemptStatus.PAID.value)
    payments = PaymentAttempt.objects.filter(open_ones).update(due_at=now)
    moving = [RefundStatus.APPROVED.value, RefundStatus.PROCESSING.value]
    refunds = Refund.objects.filter(status__in=moving).update(due_at=now)
    accounts = MerchantAccount.objects.filter(is_active=True, provider__in=list(BILLS))
    bills = accounts.exclude(bill_due_at=None).update(bill_due_at=min(now, since))
    for task in (POLL, WORK_REFUNDS, FETCH_BILLS):
        wake(task)
    return ToAsk(payments, refunds, bills)
