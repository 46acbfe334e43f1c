"""Refunds and payment exceptions over the API: two people, tenants, repeats, and each wrong field (R6, R7, F44)."""

from __future__ import annotations

from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from billing.models import Order, OrderChannel, PaymentException, Refund
from billing.services.attempts import start_attempt
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import open_order
from billing.services.settlement import settle
from devices.models import DeviceService
from tests.api.calling import Tenant, code, make_tenant, wrong_fields
from tests.factories import make_device
from tests.services.shop import paid

pytestmark = pytest.mark.django_db


def paid_order(tenant: Tenant, *, missing: int = 0) -> Order:
    now = clock.now()
    with system_scope():
        device = make_device(tenant.product).device.pk
        DeviceService.objects.filter(pk=device).update(state="EXPIRED")
        order = open_order(
            device_ids=[device], plan=tenant.plan, channel=OrderChannel.API, created_by="x", once_key=None, now=now
        )
        attempt = start_attempt(order=order, now=now, wall=clock.wall())
        facts = paid(attempt, paid_at=now)
        settle(attempt_id=attempt.pk, facts=facts._replace(amount=facts.amount - missing), now=now)
        fulfil_paid_orders(now=now)
        return Order.objects.get(pk=order.pk)


def test_a_refund_is_asked_for_once_and_read_back_R7(ours: Tenant) -> None:
    order = paid_order(ours)
    wanted = {"amount": 100, "effect": "KEEP", "reason": "returned"}
    first, again = (ours.api.post(f"/orders/{order.pk}/refunds", wanted, once="r") for _ in range(2))
    assert first.status_code == 201
    assert first.json() == again.json()
    told = ours.api.get(first["Location"].removeprefix("/api/v1")).json()
    assert (told["amount"], told["status"], told["order"], told["needs_two"]) == (100, "APPROVED", order.pk, False)
    assert [each["id"] for each in ours.api.get("/refunds?status=APPROVED").json()["results"]] == [told["id"]]
    assert ours.api.get("/refunds?status=FAILED").json()["results"] == []
    assert code(ours.api.post(f"/orders/{order.pk}/refunds", wanted)) == (422, "refund_refused")


def test_a_key_is_nobody_of_its_own_where_two_people_decide_F44(ours: Tenant, settings: Any) -> None:
    settings.REFUND_THRESHOLD = 0
    order = paid_order(ours)
    made = ours.api.post(f"/orders/{order.pk}/refunds", {"reason": "returned"}).json()
    assert made["status"] == "REQUESTED"
    assert code(ours.api.post(f"/refunds/{made['id']}/approve")) == (422, "refund_refused")
    with system_scope():
        Refund.objects.update(requested_by="somebody.else@example.com")
    assert ours.api.post(f"/refunds/{made['id']}/approve").json()["status"] == "APPROVED"


def test_a_case_is_resolved_in_one_of_its_ways(ours: Tenant) -> None:
    paid_order(ours, missing=1)
    case = ours.api.get("/payment-exceptions?open=yes").json()["results"][0]
    assert (case["kind"], case["ways"]) == ("AMOUNT_MISMATCH", ["REFUND"])
    path = f"/payment-exceptions/{case['id']}/resolve"
    assert code(ours.api.post(path, {"resolution": "KEEP", "reason": "x"})) == (422, "resolution_refused")
    done = ours.api.post(path, {"resolution": "REFUND", "reason": "typo"}).json()
    assert (done["resolution"], done["resolution_reason"], done["ways"]) == ("REFUND", "typo", [])
    with system_scope():
        assert Refund.objects.get().amount == case["amount"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": ""}, "reason"),
        ({}, "reason"),
        ({"reason": "x", "amount": 0}, "amount"),
        ({"reason": "x", "amount": 1.5}, "amount"),
        ({"reason": "x", "effect": "EXPLODE"}, "effect"),
        ({"reason": "x", "days": -1}, "days"),
        ({"reason": "x", "lines": []}, "lines"),
        ({"reason": "x", "lines": ["1"]}, "lines[0]"),
        ({"reason": "x", "bribe": 1}, "bribe"),
    ],
)
def test_each_wrong_field_is_named(ours: Tenant, body: dict[str, Any], field: str) -> None:
    order = paid_order(ours)
    assert field in wrong_fields(ours.api.post(f"/orders/{order.pk}/refunds", body))
    with system_scope():
        assert not Refund.objects.exists()


def test_another_tenants_money_answers_as_none_R6(ours: Tenant, other: Tenant) -> None:
    order = paid_order(other)
    paid_order(other, missing=1)
    with system_scope():
        case = PaymentException.objects.get().pk
    other.api.post(f"/orders/{order.pk}/refunds", {"reason": "x"})
    with system_scope():
        refund = Refund.objects.get().pk
    for path, body in (
        (f"/orders/{order.pk}/refunds", {"reason": "x"}),
        (f"/refunds/{refund}/approve", {}),
        (f"/payment-exceptions/{case}/resolve", {"resolution": "REFUND", "reason": "x"}),
    ):
        assert code(ours.api.post(path, body)) == (404, "not_found")
    assert ours.api.get("/refunds").json()["results"] == []
    assert ours.api.get("/payment-exceptions").json()["results"] == []
    line = {"reason": "x", "lines": [1]}
    mine = paid_order(ours)
    assert code(ours.api.post(f"/orders/{mine.pk}/refunds", line)) == (422, "refund_refused")


def test_a_refund_by_a_case_needs_the_scope_of_refunds_too(ours: Tenant) -> None:
    paid_order(ours, missing=1)
    case = ours.api.get("/payment-exceptions?open=yes").json()["results"][0]
    api = ours.keyed("payments:read", "payments:resolve")
    wanted = {"resolution": "REFUND", "reason": "typo"}
    assert code(api.post(f"/payment-exceptions/{case['id']}/resolve", wanted)) == (403, "scope_missing")
    with system_scope():
        assert not Refund.objects.exists()


def test_a_buyers_key_never_sends_the_sellers_money_back_R6(ours: Tenant) -> None:
    buyer = make_tenant("buyer", parent=ours.enterprise)
    now = clock.now()
    with system_scope():
        device = make_device(ours.product, enterprise=buyer.enterprise).device.pk
        DeviceService.objects.filter(pk=device).update(state="EXPIRED")
        order = open_order(
            device_ids=[device], plan=ours.plan, channel=OrderChannel.API, created_by="x", once_key=None, now=now
        )
        attempt = start_attempt(order=order, now=now, wall=clock.wall())
        settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=now), now=now)
        fulfil_paid_orders(now=now)
    assert buyer.api.get(f"/orders/{order.pk}").status_code == 200
    wanted = {"amount": 100, "effect": "KEEP", "reason": "mine"}
    assert code(buyer.api.post(f"/orders/{order.pk}/refunds", wanted)) == (403, "not_yours_to_change")
    assert ours.api.post(f"/orders/{order.pk}/refunds", wanted).status_code == 201
