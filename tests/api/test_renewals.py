"""Orders over the API: previewed, opened once, paid by a code, cancelled; bad devices are named (Q1–Q5, R6, R7)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from amp.foundation.scoping import system_scope
from billing.models import Order, PaymentAttempt
from devices.models import DeviceService
from tests.api.calling import Tenant, code, wrong_fields
from tests.factories import make_device, make_plan

pytestmark = pytest.mark.django_db


@pytest.fixture
def devices(ours: Tenant) -> list[int]:
    """Three devices, the last one in a state that can't be renewed yet (A12)."""
    with system_scope():
        ids = [make_device(ours.product).device.pk for _ in range(3)]
        DeviceService.objects.filter(pk__in=ids[:2]).update(state="EXPIRED")
    return ids


def body(ours: Tenant, ids: list[int], **more: Any) -> dict[str, Any]:
    return {"devices": ids, "plan": ours.plan.pk, **more}


def test_q5_a_preview_tells_each_end_and_each_reason_and_makes_nothing(ours: Tenant, devices: list[int]) -> None:
    told = ours.api.post("/orders/preview", body(ours, devices), once="").json()
    assert (told["total"], told["currency"]) == (2 * ours.plan.amount, ours.plan.currency)
    assert [line["refusal"] for line in told["lines"]] == [None, None, "trial_not_over"]
    assert told["lines"][0]["new_ends_at"]
    assert told["lines"][2]["detail"]
    with system_scope():
        assert not Order.objects.exists()


def test_q1_one_bad_device_refuses_all_and_is_named_by_its_place(ours: Tenant, devices: list[int]) -> None:
    refused = ours.api.post("/orders", body(ours, devices))
    assert code(refused) == (422, "devices_not_eligible")
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("devices[2]", "trial_not_over")]
    made = ours.api.post("/orders", body(ours, devices, continue_without_refused=True)).json()
    assert (made["devices"], made["total"], made["channel"]) == (2, 2 * ours.plan.amount, "API")
    lines = ours.api.get(f"/orders/{made['id']}/lines").json()["results"]
    assert [line["device"] for line in lines] == devices[:2]


def test_r7_an_order_that_is_sent_again_is_one_order(ours: Tenant, devices: list[int]) -> None:
    first, second = (ours.api.post("/orders", body(ours, devices[:2]), once="a") for _ in range(2))
    assert first.json() == second.json()
    assert code(ours.api.post("/orders", body(ours, devices[:1]), once="a")) == (422, "idempotency_key_reused")
    with system_scope():
        assert Order.objects.count() == 1


def test_r6_a_foreign_device_and_a_foreign_plan_are_refused_as_missing_ones(
    ours: Tenant, other: Tenant, devices: list[int]
) -> None:
    with system_scope():
        theirs = make_device(other.product).device.pk
    foreign, missing = (ours.api.post("/orders", body(ours, [pk])).json() for pk in (theirs, 10**9))
    assert (
        foreign["errors"]
        == missing["errors"]
        == [{"field": "devices[0]", "code": "not_found", "message": "This device does not exist."}]
    )
    refused = ours.api.post("/orders", {"devices": devices[:1], "plan": other.plan.pk})
    assert (code(refused), wrong_fields(refused)) == ((400, "invalid_request"), {"plan"})


@pytest.mark.parametrize("ids", [[], ["1"], [0], [-1], [True], [2**63], "1", None, [1.5], [[1]]])
def test_devices_that_are_no_ids_are_refused_by_name(ours: Tenant, ids: Any) -> None:
    refused = ours.api.post("/orders", {"devices": ids, "plan": ours.plan.pk})
    assert code(refused) == (400, "invalid_request")
    assert {name.partition("[")[0].partition(".")[0] for name in wrong_fields(refused)} == {"devices"}


def test_q5_a_plan_without_a_price_is_not_sold_over_the_api(ours: Tenant, devices: list[int]) -> None:
    with system_scope():
        free = make_plan(ours.product, amount=0, name="Goodwill")
    refused = ours.api.post("/orders", {"devices": devices[:1], "plan": free.pk})
    assert code(refused) == (422, "order_refused")
    offers = ours.api.get(f"/device-services/{devices[0]}/preview").json()["offers"]
    assert [offer["plan"] for offer in offers] == [ours.plan.pk]


def test_one_service_is_previewed_and_renewed(ours: Tenant, devices: list[int]) -> None:
    told = ours.api.get(f"/device-services/{devices[0]}/preview").json()
    assert (told["state"], told["offers"][0]["refusal"]) == ("EXPIRED", None)
    early = ours.api.get(f"/device-services/{devices[2]}/preview").json()["offers"][0]
    assert (early["refusal"], early["new_ends_at"]) == ("trial_not_over", None)
    order = ours.api.post(f"/device-services/{devices[0]}/renew", {"plan": ours.plan.pk})
    assert (order.status_code, order.json()["devices"]) == (201, 1)
    assert order["Location"] == f"/api/v1/orders/{order.json()['id']}"


def test_a_code_to_pay_is_asked_for_again_without_a_second_payment(ours: Tenant, devices: list[int]) -> None:
    order = ours.api.post("/orders", body(ours, devices[:1])).json()
    first, second = (ours.api.post(f"/orders/{order['id']}/payment", once="") for _ in range(2))
    assert first.status_code == 200, first.content
    assert first.json() == second.json()
    assert (first.json()["code_form"], first.json()["code_expires_at"]) == ("QR", first.json()["expires_at"])
    page = ours.api.client.get(urlsplit(first.json()["pay_url"]).path)
    assert order["number"] in page.content.decode()
    with system_scope():
        assert PaymentAttempt.objects.count() == 1


def test_an_order_is_cancelled_once_and_found_by_its_state(ours: Tenant, devices: list[int]) -> None:
    order = ours.api.post("/orders", body(ours, devices[:1])).json()
    assert ours.api.post(f"/orders/{order['id']}/cancel").json()["status"] == "CANCELLED"
    assert ours.api.post(f"/orders/{order['id']}/cancel").json()["status"] == "CANCELLED"
    assert [row["id"] for row in ours.api.get("/orders?status=CANCELLED").json()["results"]] == [order["id"]]
    assert ours.api.get("/orders?status=PAID").json()["results"] == []


def test_r6_another_tenants_order_answers_as_a_missing_one(ours: Tenant, other: Tenant, devices: list[int]) -> None:
    order = ours.api.post("/orders", body(ours, devices[:1])).json()["id"]
    for path in (f"/orders/{order}", f"/orders/{order}/lines", f"/device-services/{devices[0]}/preview"):
        assert code(other.api.get(path)) == (404, "not_found"), path
    for path in (f"/orders/{order}/cancel", f"/orders/{order}/payment"):
        assert code(other.api.post(path)) == (404, "not_found"), path
    assert other.api.get("/orders").json()["results"] == []
