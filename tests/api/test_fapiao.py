"""Fapiao requests over the API: for paid orders, once, in the key's scope (E1, R6, F33)."""

from __future__ import annotations

from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from billing.models import FapiaoRequest, Order
from tests.api.calling import Tenant, code, wrong_fields
from tests.api.test_receipts import order, pay

__all__ = ["order"]
pytestmark = pytest.mark.django_db
WHO = {"title": "上海暖通科技有限公司", "tax_number": "9131 0000 ma1fl0xx8a", "email": "a@b.cn"}


def ask(tenant: Tenant, paid: Order, **changes: Any) -> Any:
    return tenant.api.post(f"/orders/{paid.pk}/fapiao", WHO | changes)


def test_a_fapiao_is_requested_listed_and_read(ours: Tenant, order: Order) -> None:
    pay(order)
    answer = ask(ours, order)
    made = answer.json()
    assert (answer.status_code, answer["Location"]) == (201, f"/api/v1/fapiao-requests/{made['id']}")
    assert (made["status"], made["amount"], made["currency"]) == ("REQUESTED", order.total, "CNY")
    assert made["tax_number"] == "91310000MA1FL0XX8A"
    assert ours.api.get(f"/fapiao-requests/{made['id']}").json() == made
    assert ours.api.get("/fapiao-requests?status=REQUESTED").json()["results"] == [made]
    assert ours.api.get("/fapiao-requests?status=ISSUED").json()["results"] == []
    with system_scope():
        [event] = Event.objects.filter(kind="fapiao.requested")
    assert event.actor == made["requested_by"]
    assert "tax_number" not in str(event.after)


def test_one_order_has_one_fapiao_and_a_retry_finds_it_F33(ours: Tenant, order: Order) -> None:
    pay(order)
    first = ours.api.post(f"/orders/{order.pk}/fapiao", WHO, once="once-1")
    again = ours.api.post(f"/orders/{order.pk}/fapiao", WHO, once="once-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert code(ask(ours, order)) == (422, "fapiao_refused")
    with system_scope():
        assert FapiaoRequest.objects.count() == 1


def test_what_cannot_be_requested_is_refused_beside_its_field(ours: Tenant, order: Order) -> None:
    assert code(ask(ours, order)) == (409, "no_receipt")
    pay(order)
    refused = ask(ours, order, tax_number="1", email="nobody")
    assert code(refused) == (422, "fapiao_refused")
    assert {each["field"] for each in refused.json()["errors"]} == {"tax_number", "email"}
    assert wrong_fields(ours.api.post(f"/orders/{order.pk}/fapiao", {"title": "x"})) == {"tax_number", "email"}


def test_other_tenants_and_other_scopes_reach_nothing_R6(ours: Tenant, other: Tenant, order: Order) -> None:
    pay(order)
    made = ask(ours, order).json()
    assert code(ask(other, order)) == (404, "not_found")
    assert code(other.api.get(f"/fapiao-requests/{made['id']}")) == (404, "not_found")
    assert other.api.get("/fapiao-requests").json()["results"] == []
    reader = ours.keyed("orders:read", "payments:read")
    for answer in (reader.get("/fapiao-requests"), reader.get(f"/fapiao-requests/{made['id']}")):
        assert code(answer) == (403, "scope_missing")
    assert code(ours.keyed("fapiao:read").post(f"/orders/{order.pk}/fapiao", WHO)) == (403, "scope_missing")
