"""What a tenant has besides its devices and orders: notices, webhooks, books."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model

from alerts.models import InboxEntry, Notice, Webhook, WebhookDelivery
from alerts.services.webhook_endpoints import add_webhook
from amp.foundation.models import (
    Enterprise,
    Event,
)
from amp.foundation.services.events import EventDraft, record_event
from billing.models import (
    Bill,
    BillFetch,
    BillRow,
    FapiaoRequest,
    MoneyEntry,
    PaymentAttempt,
)
from devices.models import Device


def make_notices(mark: str, device: Device, *, now: datetime) -> list[Model]:
    """A notice that no device could hear, and what stands in the inbox."""
    enterprise = device.enterprise
    return [
        Notice.objects.create(
            enterprise=enterprise,
            device=device,
            service="SIM",
            ends_at=now + timedelta(days=9),
            days=30,
            channel="TSL",
            status="UNSUPPORTED",
            reason="NO_PROPERTY",
            detail=f"{mark} detail",
            falls_due_at=now - timedelta(days=21),
            noticed_at=now,
        ),
        InboxEntry.objects.create(
            enterprise=enterprise, service="SIM", days=30, day=now.date(), devices=1, last_at=now
        ),
    ]


def make_webhook(mark: str, enterprise: Enterprise, order: int, *, now: datetime) -> list[Model]:
    """An endpoint with a delivery that was given up."""
    terms: Any = {"name": f"{mark} webhook", "url": f"https://{mark}.example/hook"}
    webhook, _secret = add_webhook(
        enterprise=enterprise, actor=f"staff@{mark}.example", now=now, waits=time.monotonic(), **terms
    )
    record_event(EventDraft("order.paid", f"order:{order}", enterprise.pk, now), now=now)
    delivery = WebhookDelivery.objects.create(
        enterprise=enterprise,
        webhook=webhook,
        event=Event.objects.filter(enterprise=enterprise, kind="order.paid").latest("pk"),
        type="order.paid",
        status="DEAD",
        attempts=1,
        created_at=now,
        ended_at=now,
        problem=f"{mark} problem",
    )
    return [Webhook.objects.get(pk=webhook.pk), delivery]


def make_books(mark: str, attempt: PaymentAttempt, *, now: datetime) -> list[Model]:
    """What finance sees of a payment: a movement, a request for a fapiao, a bill with a line."""
    own: dict[str, Any] = {"enterprise_id": attempt.enterprise_id}
    money: dict[str, Any] = {"amount": 1, "currency": "CNY"}
    bill = Bill.objects.create(
        **own,
        account=attempt.account,
        day=now.date(),
        file_name=f"{mark} bill.csv",
        digest=mark,
        lines=1,
        open_lines=1,
        uploaded_at=now,
        uploaded_by=f"finance@{mark}.example",
    )
    return [
        bill,
        BillFetch.objects.create(
            **own, account=bill.account, day=bill.day, status="FAILED", problem="silent", detail=f"{mark} fetch"
        ),
        BillRow.objects.create(
            **own,
            **money,
            bill=bill,
            kind="PAYMENT",
            number=f"{mark} number",
            transaction_id=f"{mark} transaction",
            happened_at=now,
            attempt=attempt,
            result="TO_SETTLE",
        ),
        FapiaoRequest.objects.create(
            **own,
            **money,
            order=attempt.order,
            title=f"{mark} buyer",
            tax_number="9" * 18,
            email=f"buyer@{mark}.example",
            requested_at=now,
            requested_by=f"staff@{mark}.example",
        ),
        MoneyEntry.objects.create(
            **own,
            **money,
            merchant_id=attempt.order.merchant_id,
            attempt=attempt,
            kind="RECEIVED",
            source=f"{mark}:1",
            created_at=now,
        ),
    ]
