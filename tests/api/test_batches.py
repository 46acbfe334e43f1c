"""Batches over the API: devices by ids, keys or a filter; refusals grouped; results by page and state (Q1, F35, R6)."""

from __future__ import annotations

from typing import Any

import pytest

from amp.foundation.scoping import system_scope
from billing.models import Order, OrderLine
from devices.models import DeviceService
from tests.api.calling import Tenant, code, wrong_fields
from tests.factories import make_device, make_product

pytestmark = pytest.mark.django_db


@pytest.fixture
def devices(ours: Tenant) -> list[int]:
    """k0 to k3; the last one in a state that can't be renewed yet (A12)."""
    with system_scope():
        ids = [make_device(ours.product, key=f"k{number}").device.pk for number in range(4)]
        DeviceService.objects.filter(pk__in=ids[:3]).update(state="EXPIRED")
    return ids


def keys(*names: str, **more: str) -> list[dict[str, str]]:
    return [{"key": name, **more} for name in names]


def test_q1_devices_are_chosen_by_their_keys_and_lost_ones_are_named_by_their_place(
    ours: Tenant, devices: list[int]
) -> None:
    body = {"keys": keys("k0", "nobody", "k3", "k0"), "plan": ours.plan.pk}
    refused = ours.api.post("/orders", body)
    assert code(refused) == (422, "devices_not_eligible")
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [
        ("keys[1]", "not_found"),
        ("keys[2]", "trial_not_over"),
    ]
    order = ours.api.post("/orders", {**body, "continue_without_refused": True}).json()
    assert (order["devices"], order["total"]) == (1, ours.plan.amount)
    [line] = ours.api.get(f"/orders/{order['id']}/lines").json()["results"]
    assert (line["device"], line["key"], line["status"]) == (devices[0], "k0", "WAITING")


def test_keys_that_all_lead_nowhere_are_refused_even_when_told_to_continue(ours: Tenant, devices: list[int]) -> None:
    refused = ours.api.post("/orders", {"keys": keys("x", "y"), "plan": ours.plan.pk, "continue_without_refused": True})
    assert code(refused) == (422, "devices_not_eligible")
    assert [each["field"] for each in refused.json()["errors"]] == ["keys[0]", "keys[1]"]


def test_a_key_of_two_products_needs_its_product(ours: Tenant, devices: list[int]) -> None:
    with system_scope():
        make_device(make_product(ours.enterprise, name="Second"), key="k0")
    refused = ours.api.post("/orders", {"keys": keys("k0"), "plan": ours.plan.pk})
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("keys[0]", "product_needed")]
    named = {"keys": keys("k0", product=ours.product.key), "plan": ours.plan.pk}
    assert ours.api.post("/orders", named).status_code == 201


def test_q1_all_devices_that_a_filter_leaves_are_ordered(ours: Tenant, devices: list[int]) -> None:
    body = {"filter": {"state": "EXPIRED", "product": str(ours.product.pk)}, "plan": ours.plan.pk}
    order = ours.api.post("/orders", body).json()
    with system_scope():
        assert set(OrderLine.objects.filter(order=order["id"]).values_list("device_id", flat=True)) == set(devices[:3])
    refused = ours.api.post("/orders", {**body, "filter": {"key": "k3"}})
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("filter", "trial_not_over")]
    assert refused.json()["errors"][0]["message"].startswith("k3: ")


def test_r6_a_filter_reaches_no_other_tenants_devices(ours: Tenant, other: Tenant, devices: list[int]) -> None:
    with system_scope():
        DeviceService.objects.filter(device=make_device(other.product, key="theirs").device).update(state="EXPIRED")
    told = ours.api.post("/orders/preview", {"filter": {"state": "EXPIRED"}, "plan": ours.plan.pk}, once="").json()
    assert {line["device"] for line in told["lines"]} == set(devices[:3])
    by_key, missing = (
        ours.api.post("/orders", {"keys": keys(name), "plan": ours.plan.pk}).json()["errors"][0]
        for name in ("theirs", "nobody")
    )
    assert by_key | {"message": by_key["message"].replace("theirs", "nobody")} == missing
    foreign = {"filter": {"product": str(other.product.pk)}, "plan": ours.plan.pk}
    refused = ours.api.post("/orders", foreign)
    assert (code(refused), wrong_fields(refused)) == ((400, "invalid_request"), {"filter.product"})


@pytest.mark.parametrize(
    ("chosen", "wrong"),
    [
        ({}, ""),
        ({"devices": [1], "keys": [{"key": "k0"}]}, ""),
        ({"keys": []}, "keys"),
        ({"keys": [{"key": "k0"}, {"key": ""}]}, "keys[1].key"),
        ({"keys": ["k0"]}, "keys[0]"),
        ({"keys": [{"key": "k0", "colour": "red"}]}, "keys[0].colour"),
        ({"filter": {}}, "filter"),
        ({"filter": {"state": "GONE"}}, "filter.state"),
        ({"filter": {"state": ["EXPIRED"]}}, "filter"),
        ({"filter": {"device__enterprise__name": "x"}}, "filter.device__enterprise__name"),
        ({"filter": {"key": "nobody"}}, "filter"),
        ({"filter": "state=EXPIRED"}, "filter"),
    ],
)
def test_f82_a_choice_that_cannot_be_understood_is_refused_by_its_place(
    ours: Tenant, devices: list[int], chosen: dict[str, Any], wrong: str
) -> None:
    for path, once in (("/orders", None), ("/orders/preview", "")):
        options = {} if once is None else {"once": once}
        refused = ours.api.post(path, {**chosen, "plan": ours.plan.pk}, **options)
        assert code(refused) == (400, "invalid_request"), refused.content
        assert wrong_fields(refused) == {wrong}


def test_q5_a_preview_groups_what_is_left_out_by_reason(ours: Tenant, devices: list[int]) -> None:
    body = {"keys": keys("k0", "k1", "k3", "nobody"), "plan": ours.plan.pk}
    told = ours.api.post("/orders/preview", body, once="").json()
    assert (told["accepted"], told["refused"], told["total"]) == (2, 1, 2 * ours.plan.amount)
    assert [(each["refusal"], each["devices"]) for each in told["refusals"]] == [("trial_not_over", 1)]
    assert [(each["field"], each["code"]) for each in told["unknown"]] == [("keys[3]", "not_found")]
    with system_scope():
        assert not Order.objects.exists()


def test_results_are_read_by_page_and_by_state(ours: Tenant, devices: list[int]) -> None:
    order = ours.api.post("/orders", {"devices": devices[:3], "plan": ours.plan.pk}).json()["id"]
    with system_scope():
        OrderLine.objects.filter(order=order).update(status="APPLIED")
        OrderLine.objects.filter(order=order, device_id=devices[1]).update(status="UNAPPLIED", reason="terminated")
    for query, expected in (
        ("status=UNAPPLIED", [devices[1]]),
        ("reason=terminated", [devices[1]]),
        ("status=APPLIED&page_size=1", [devices[0]]),
    ):
        rows = ours.api.get(f"/orders/{order}/lines?{query}").json()
        assert [row["device"] for row in rows["results"]] == expected
    assert rows["next"]
    assert [row["device"] for row in ours.api.get(rows["next"].partition("/api/v1")[2]).json()["results"]] == [
        devices[2]
    ]
    assert code(ours.api.get(f"/orders/{order}/lines?status=BROKEN")) == (400, "invalid_parameters")
