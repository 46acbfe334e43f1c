"""Rows that many tests of the API need: orders that were paid, once, twice or by a wrong amount; some of everything."""

from __future__ import annotations

from datetime import timedelta

from alerts.models import Notice, Webhook, WebhookDelivery
from amp.foundation import clock
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from billing.fapiao import Buyer
from billing.models import Effect, FapiaoRequest, Order, OrderChannel, PaymentException, Refund
from billing.orders import ExceptionKind
from billing.services.attempts import start_attempt
from billing.services.fapiao import request_fapiao
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import open_order
from billing.services.refund_proposals import make_refund
from billing.services.settlement import raise_exception, settle
from devices.models import Command, CommandKind, Device, DeviceService, ServiceKind
from devices.services.commands import CommandOrder, order_commands
from devices.services.validities import ValiditySetting, set_validities
from tests.api.calling import Tenant
from tests.factories import make_device, make_enterprise, make_plan, make_product
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


def grow(tenant: Tenant, rows: int) -> None:
    """So many rows more of everything that lists hold; one order of so many devices, and as many of one."""
    now = clock.now()
    with system_scope():
        devices = [make_device(tenant.product).device.pk for _ in range(rows)]
        DeviceService.objects.filter(pk__in=devices).update(state="EXPIRED", generation=1)
        for number in range(rows):
            make_plan(make_product(make_enterprise(parent=tenant.enterprise)), name=f"plan {number}")
        for asked in (devices, *([device] for device in devices)):
            open_order(
                device_ids=asked, plan=tenant.plan, channel=OrderChannel.API, created_by="test", once_key=None, now=now
            )
        for order in Order.objects.filter(line_count=1, attempts=None):
            attempt = start_attempt(order=order, now=now, wall=clock.wall())
            facts = {"code": "paid_late", "order": "case"}
            raise_exception(attempt, ExceptionKind.LATE, amount=1, currency="CNY", facts=facts, now=now)
            make_refund(attempt, 1, "CNY", "x", Effect.KEEP, has_lines=False, asked_by="test", now=now)
        buyer = Buyer("Buyer", "91310000MA1FL0XX8A", "a@b.cn")
        request_fapiao(order=order_paid(tenant, devices[-1], f"T{rows}"), buyer=buyer, actor="test", now=now)
        ends = [ValiditySetting(device, ServiceKind.SIM, now + timedelta(days=9)) for device in devices]
        set_validities(ends, actor="test", now=now)
        make_notices(devices)
        order_commands(
            [CommandOrder(device, tenant.enterprise.pk, tenant.product.pk, CommandKind.LOCK, 1) for device in devices],
            now=now,
        )
        add_webhooks(tenant, rows)


def add_webhooks(tenant: Tenant, rows: int) -> None:
    """Endpoints, each with a delivery that was given up."""
    now = clock.now()
    event = Event.objects.filter(enterprise=tenant.enterprise, kind="order.created").latest("pk")
    own = {"enterprise": tenant.enterprise, "created_at": now}
    fields = {
        "url": "https://erp.example/",
        "state_since": now,
        "secret": "x",
        "secret_since": now,
        "state": "DISABLED",
    }
    for number in range(rows):
        webhook = Webhook.objects.create(**own, **fields, name=f"ERP {number}", state_why="BY_STAFF", created_by="test")
        WebhookDelivery.objects.create(
            **own, webhook=webhook, event=event, type="order.paid", status="DEAD", ended_at=now
        )


def make_notices(devices: list[int]) -> None:
    """A notice for each device."""
    now = clock.now()
    Notice.objects.bulk_create(
        Notice(
            enterprise_id=device.enterprise_id,
            device=device,
            service="SIM",
            ends_at=now + timedelta(days=9),
            days=30,
            channel="TSL",
            status="UNSUPPORTED",
            reason="NO_TSL",
            falls_due_at=now - timedelta(days=21),
            noticed_at=now,
            closed_at=now,
        )
        for device in Device.objects.filter(pk__in=devices)
    )


def address(path: str, tenant: Tenant) -> str:
    """The path of the tenant's first row."""
    with system_scope():
        device = DeviceService.objects.order_by("pk").first()
        ids = {
            "enterprise": tenant.enterprise.pk,
            "product": tenant.product.pk,
            "plan": tenant.plan.pk,
            "device": device.pk if device else 0,
            "kind": "SIM",
            "command": Command.objects.order_by("pk").values_list("pk", flat=True).first(),
            "fapiao": FapiaoRequest.objects.values_list("pk", flat=True).first(),
            "notice": Notice.objects.values_list("pk", flat=True).first(),
            "refund": Refund.objects.values_list("pk", flat=True).first(),
            "case": PaymentException.objects.values_list("pk", flat=True).first(),
            "webhook": Webhook.objects.values_list("pk", flat=True).first(),
            "delivery": WebhookDelivery.objects.values_list("pk", flat=True).first(),
            "order": Order.objects.order_by("-line_count").values_list("pk", flat=True).first(),
            "paid": Order.objects.exclude(paid_at=None).values_list("pk", flat=True).first(),
        }
    return path.format(**ids)
