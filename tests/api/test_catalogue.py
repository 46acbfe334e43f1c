"""Products, thing models, plans and rules over the API, by the services of the pages (E1–E4, A1, A4, A5, A19, A25)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.models import DeviceService
from tests.api.calling import Tenant, code, wrong_fields
from tests.factories import LOCK, STANDARD_TSL, UNLOCK, make_device, make_enterprise


def draft_of(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """A plan to be drafted."""
    terms = {"enterprise": tenant.enterprise.pk, "product": tenant.product.pk, "name": "Annual"}
    return {**terms, "amount": 19_900, "currency": "CNY", "months": 12, **changes}


def rule_of(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """The rule in force as a change would say it."""
    shown = tenant.api.get(f"/products/{tenant.product.pk}/rule").json()
    fixed = ("product", "version", "paid_mode_since", "created_at", "created_by")
    return {**{name: value for name, value in shown.items() if name not in fixed}, **changes}


def actors(subject: str) -> dict[str, str]:
    """Who did what to the subject."""
    with system_scope():
        return dict(Event.objects.filter(subject=subject).values_list("kind", "actor"))


def test_product_is_made_and_the_record_names_the_key_R9(ours: Tenant) -> None:
    response = ours.api.post("/products", {"enterprise": ours.enterprise.pk, "name": " Meter ", "description": "d"})
    made = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"/api/v1/products/{made['id']}"
    assert (made["name"], made["paid_mode"], made["tsl_version"]) == ("Meter", False, None)
    assert made["created_at"].endswith("Z")
    assert ours.api.get(f"/products/{made['id']}").json() == made
    assert actors(f"product:{made['id']}") == {"product.created": f"API key {ours.key.prefix}"}


def test_product_can_be_made_below_and_not_above_E1(ours: Tenant) -> None:
    with system_scope():
        below = make_enterprise("below", parent=ours.enterprise)
    assert ours.api.post("/products", {"enterprise": below.pk, "name": "x"}).status_code == 201


def test_name_that_is_taken_is_refused_beside_its_field(ours: Tenant) -> None:
    response = ours.api.post("/products", {"enterprise": ours.enterprise.pk, "name": "ours product"})
    assert code(response) == (422, "product_refused")
    assert wrong_fields(response) == {"name"}


def test_name_of_another_tenants_product_is_free_F81(ours: Tenant, other: Tenant) -> None:
    assert ours.api.post("/products", {"enterprise": ours.enterprise.pk, "name": "other product"}).status_code == 201


def test_key_of_another_tenants_product_is_not_confirmed_F81(ours: Tenant, other: Tenant) -> None:
    wanted = {"enterprise": ours.enterprise.pk, "name": "x", "key": other.product.key}
    refused = ours.api.post("/products", wanted)
    assert refused.status_code in (409, 422)
    assert "other" not in refused.content.decode()


def test_tsl_goes_in_and_comes_out_the_same(ours: Tenant) -> None:
    path = f"/products/{ours.product.pk}/tsl"
    model = copy.deepcopy(STANDARD_TSL)
    model["properties"][1]["name"] = "Interval"
    response = ours.api.post(path, model)
    assert (response.status_code, response.json()["version"]) == (201, 2)
    shown = ours.api.get(path).json()
    assert shown["document"]["properties"][1]["name"] == "Interval"
    assert ours.api.post(path, shown["document"]).json()["version"] == 2  # the same again makes no version


def test_tsl_says_each_place_that_is_wrong(ours: Tenant) -> None:
    model = copy.deepcopy(STANDARD_TSL)
    model["properties"][0]["dataType"] = "BOOLEAN"
    model["properties"][2]["specs"]["min"] = "many"
    response = ours.api.post(f"/products/{ours.product.pk}/tsl", model)
    assert code(response) == (422, "invalid_tsl")
    assert {field.partition(".")[0] for field in wrong_fields(response)} == {"properties[0]", "properties[2]"}


def test_tsl_with_a_key_twice_is_refused(ours: Tenant) -> None:
    """The very bytes are read: a parser that keeps the last of two would hide one."""
    twice = json.dumps(STANDARD_TSL)[:-1] + ', "events": []}'
    assert code(ours.api.post(f"/products/{ours.product.pk}/tsl", twice)) == (422, "invalid_tsl")


def test_tsl_without_the_lock_of_the_rule_is_refused_A19(ours: Tenant) -> None:
    model = copy.deepcopy(STANDARD_TSL)
    model["properties"] = model["properties"][1:]
    response = ours.api.post(f"/products/{ours.product.pk}/tsl", model)
    assert code(response) == (422, "thing_model_refused")
    assert "service_lock" in response.json()["detail"]


def test_product_without_a_tsl_has_none(ours: Tenant) -> None:
    made = ours.api.post("/products", {"enterprise": ours.enterprise.pk, "name": "bare"}).json()
    assert code(ours.api.get(f"/products/{made['id']}/tsl")) == (404, "not_found")


def test_plan_is_drafted_published_and_withdrawn_E3(ours: Tenant) -> None:
    drafted = ours.api.post("/plans", draft_of(ours, sale_from="2026-03-01T08:00:00+08:00")).json()
    assert (drafted["status"], drafted["version"], drafted["amount"], drafted["currency"]) == (
        "DRAFT",
        1,
        19_900,
        "CNY",
    )
    assert drafted["sale_from"] == "2026-03-01T00:00:00Z"
    assert drafted["level"]["product"] == ours.product.pk
    path = f"/plans/{drafted['id']}"
    assert ours.api.post(f"{path}/publish").json()["status"] == "PUBLISHED"
    assert code(ours.api.post(f"{path}/publish")) == (422, "plan_refused")
    assert ours.api.post(f"{path}/withdraw", {}).json()["status"] == "WITHDRAWN"
    assert set(actors(f"plan:{drafted['id']}").values()) == {f"API key {ours.key.prefix}"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("amount", value) for value in (-1, 1.5, "100", None, True, 10**13, 10**30)),
        *(("months", value) for value in (0, 121, "12", 1.0)),
        *(("currency", value) for value in ("CN", "CNYY", 1)),
        *(
            ("sale_from", value)
            for value in ("2026-03-01", "2026-03-01T12:00:00", "soon", 0, "9999-12-31T23:59:59-12:00")
        ),
        ("plan_type", "FREE"),
        ("merchant", 987_654_321),
        ("level", 987_654_321),
    ],
)
def test_term_that_cannot_be_is_refused_by_name_F38(ours: Tenant, field: str, value: Any) -> None:
    response = ours.api.post("/plans", draft_of(ours, **{field: value}))
    assert code(response) == (400, "invalid_request")
    assert field in wrong_fields(response)


@pytest.mark.parametrize(
    "change", [{"currency": "XXX"}, {"sale_from": "2027-01-02T00:00:00Z", "sale_until": "2027-01-01T00:00:00Z"}]
)
def test_terms_that_the_service_refuses_name_their_field(ours: Tenant, change: dict[str, Any]) -> None:
    response = ours.api.post("/plans", draft_of(ours, **change))
    assert code(response) == (422, "plan_refused")
    assert wrong_fields(response) == {list(change)[-1]}


def test_plan_is_of_a_product_or_of_a_level(ours: Tenant) -> None:
    level = ours.api.get(f"/plans/{ours.plan.pk}").json()["level"]["id"]
    both = ours.api.post("/plans", draft_of(ours, level=level))
    neither = draft_of(ours)
    del neither["product"]
    for response in (both, ours.api.post("/plans", neither)):
        assert code(response) == (400, "invalid_request")
        assert wrong_fields(response) == {"level"}
    assert ours.api.post("/plans", {**neither, "level": level}).status_code == 201


@pytest.mark.parametrize("field", ["enterprise", "product", "level", "merchant"])
def test_foreign_row_in_a_plan_answers_as_a_missing_one_F73(ours: Tenant, other: Tenant, field: str) -> None:
    foreign = {
        "enterprise": other.enterprise.pk,
        "product": other.product.pk,
        "level": other.plan.level_id,
        "merchant": other.plan.merchant_id,
    }[field]
    answers = [ours.api.post("/plans", draft_of(ours, **{field: pk})) for pk in (foreign, 987_654_321)]
    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert code(answers[0]) == (400, "invalid_request")
    assert told[0] == told[1]


@pytest.mark.parametrize("body", [{"x": 1}, {"status": "PUBLISHED"}, []])
def test_action_without_a_body_takes_none(ours: Tenant, body: Any) -> None:
    assert code(ours.api.post(f"/plans/{ours.plan.pk}/withdraw", body)) == (400, "invalid_request")
    assert ours.api.get(f"/plans/{ours.plan.pk}").json()["status"] == "PUBLISHED"


def test_rule_is_read_changed_as_a_whole_and_versioned_A5(ours: Tenant) -> None:
    path = f"/products/{ours.product.pk}/rule"
    read = ours.api.get(path)
    assert (read.json()["lock_action"], read.json()["unlock_action"]) == (LOCK, UNLOCK)
    changed = ours.api.put(path, rule_of(ours, cache_seconds=60), If_Match=read["ETag"])
    assert (changed.status_code, changed.json()["version"]) == (200, read.json()["version"] + 1)
    assert changed["ETag"] == ours.api.get(path)["ETag"]
    assert code(ours.api.put(path, rule_of(ours), If_Match=read["ETag"])) == (412, "precondition_failed")
    same = ours.api.put(path, rule_of(ours), If_Match="*")
    assert same.json() == changed.json()  # the same rule again makes no version


def test_rule_that_breaks_a_bound_is_refused_beside_its_field_A3(ours: Tenant) -> None:
    wanted = rule_of(ours, trial_start_seconds=100, trial_end_seconds=100)
    for response in (
        ours.api.put(f"/products/{ours.product.pk}/rule", wanted, If_Match="*"),
        ours.api.post(f"/products/{ours.product.pk}/rule/preview", wanted),
    ):
        assert code(response) == (422, "rule_refused")
        assert wrong_fields(response) == {"trial_end_seconds"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"paid_mode": "yes"}, "paid_mode"),
        ({"trial_end_seconds": "1h"}, "trial_end_seconds"),
        ({"lock_action": [{"code": "service_lock"}]}, "lock_action[0].value"),
        ({"lock_action": [{"code": "a", "value": 1, "x": 1}]}, "lock_action[0].x"),
        ({"lock_action": {}}, "lock_action"),
        ({"auto_plan": "1"}, "auto_plan"),
        ({"version": 9}, "version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_field_of_a_rule_is_refused_by_name(ours: Tenant, change: dict[str, Any], field: str) -> None:
    response = ours.api.put(f"/products/{ours.product.pk}/rule", rule_of(ours, **change), If_Match="*")
    assert code(response) == (400, "invalid_request")
    assert wrong_fields(response) == {field}


def test_preview_says_what_a_change_would_do_and_does_nothing_A25(ours: Tenant) -> None:
    with system_scope():
        device = make_device(ours.product).device
        DeviceService.objects.filter(device=device).update(state="EXPIRED", desired_lock="LOCKED")
    before = ours.api.get(f"/products/{ours.product.pk}/rule").json()
    told = ours.api.post(f"/products/{ours.product.pk}/rule/preview", rule_of(ours, paid_mode=False), once="").json()
    assert told["by_state"] == {"EXPIRED": 1}
    assert told["unlocks_ordered"] == 1
    assert ours.api.get(f"/products/{ours.product.pk}/rule").json() == before
    kept = ours.api.post(
        f"/products/{ours.product.pk}/rule/preview", rule_of(ours, paid_mode=False, unlock=False)
    ).json()
    assert kept["unlocks_ordered"] == 0


def test_enterprise_shows_whom_it_sells_through_E1(ours: Tenant) -> None:
    with system_scope():
        below = make_enterprise("below", parent=ours.enterprise, merchant=False)
    mine = ours.api.get(f"/enterprises/{ours.enterprise.pk}").json()
    assert mine["merchant"]["merchant_id"] == ours.plan.merchant.merchant_id
    assert ours.api.get(f"/enterprises/{below.pk}").json()["merchant"] == mine["merchant"]
