"""Receipts over the API: of paid orders in the key's scope, as fields and as PDF (E1, R6)."""

from __future__ import annotations

from datetime import timedelta

import pypdfium2
import pytest

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from billing.models import Order
from billing.services.attempts import start_attempt
from billing.services.settlement import settle
from devices.models import DeviceService
from tests.api.calling import Tenant, code
from tests.factories import make_device
from tests.services.shop import paid

pytestmark = pytest.mark.django_db
ENDINGS = ("receipt", "receipt.pdf")


@pytest.fixture
def order(ours: Tenant) -> Order:
    """Waits for payment."""
    with system_scope():
        device = make_device(ours.product).device
        DeviceService.objects.filter(pk=device.pk).update(state="EXPIRED")
        made = ours.api.post("/orders", {"devices": [device.pk], "plan": ours.plan.pk}).json()
        return Order.objects.get(pk=made["id"])


def pay(order: Order) -> None:
    with system_scope():
        now = clock.now()
        attempt = start_attempt(order=order, now=now, wall=now)
        facts = paid(attempt, paid_at=now + timedelta(seconds=1))
        settle(attempt_id=attempt.pk, facts=facts, now=now + timedelta(seconds=2))


def test_a_paid_order_has_a_receipt_in_both_shapes(ours: Tenant, order: Order) -> None:
    pay(order)
    told = ours.api.get(f"/orders/{order.pk}/receipt").json()
    assert (told["order"], told["total"], told["refunded"], told["remaining"]) == (
        *(order.number, order.total, 0, order.total),
    )
    [payment] = told["payments"]
    assert (payment["amount"], payment["transaction_id"]) == (order.total, f"T{payment['number']}")
    assert told["is_test"] is True
    file = ours.api.get(f"/orders/{order.pk}/receipt.pdf")
    assert file["Content-Type"] == "application/pdf"
    assert order.number in pypdfium2.PdfDocument(file.content)[0].get_textpage().get_text_range()


def test_a_receipt_is_a_pdf_where_the_reader_prefers_one(ours: Tenant, order: Order) -> None:
    path = f"/orders/{order.pk}/receipt"
    early = ours.api.get(path, Accept="application/pdf")
    assert code(early) == (409, "no_receipt"), "a problem is JSON whatever was asked for"
    assert early["Content-Type"] == "application/problem+json"
    pay(order)
    file = ours.api.get(path, Accept="application/pdf")
    assert (file.status_code, file["Content-Type"]) == (200, "application/pdf")
    assert "Accept" in file["Vary"]
    assert order.number in pypdfium2.PdfDocument(file.content)[0].get_textpage().get_text_range()
    assert ours.api.get(path, Accept="*/*").json()["order"] == order.number
    assert code(ours.api.get(path, Accept="text/html")) == (406, "not_acceptable")
    assert ours.api.get(f"{path}.pdf", Accept="application/pdf").status_code == 200


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_unpaid_order_has_none_and_a_foreign_one_is_missing(
    ours: Tenant, other: Tenant, order: Order, ending: str
) -> None:
    assert code(ours.api.get(f"/orders/{order.pk}/{ending}")) == (409, "no_receipt")
    pay(order)
    assert code(other.api.get(f"/orders/{order.pk}/{ending}")) == (404, "not_found")
    assert code(ours.keyed("devices:read").get(f"/orders/{order.pk}/{ending}"))[0] == 403
