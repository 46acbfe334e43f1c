"""Rows that many tests of the API need: orders that were paid, once, twice or by a wrong amount."""

from __future__ import annotations

from amp.foundation import clock
from billing.models import Order, OrderChannel
from billing.services.attempts import start_attempt
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import open_order
from billing.services.settlement import settle
from tests.api.calling import Tenant
from tests.services.shop import paid


def order_paid(tenant: Tenant, device: int, *transactions: str, missing: int = 0) -> Order:
    """An order with a payment, one for each transaction, each short by `missing`; then fulfilled where it can be."""
    now = clock.now()
    order = open_order(
        device_ids=[device], plan=tenant.plan, channel=OrderChannel.API, created_by="test", once_key=None, now=now
    )
    attempt = start_attempt(order=order, now=now, wall=clock.wall())
    for transaction_id in transactions:
        facts = paid(attempt, transaction_id=f"{tenant.enterprise.pk}{transaction_id}", paid_at=now)
        settle(attempt_id=attempt.pk, facts=facts._replace(amount=facts.amount - missing), now=now)
    fulfil_paid_orders(now=now)
    return order
