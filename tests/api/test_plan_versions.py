"""Drafts are changed, published plans are followed by new versions (E3, F99)."""

from __future__ import annotations

from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.models import Plan
from tests.api.calling import Tenant, code, make_tenant, wrong_fields
from tests.factories import make_plan


@pytest.fixture
def draft(ours: Tenant) -> Plan:
    with system_scope():
        return make_plan(ours.product, name="Monthly", published=False, months=1)


def change(tenant: Tenant, plan: Plan, match: str = "*", **terms: Any) -> Any:
    return tenant.api.patch(f"/plans/{plan.pk}", terms, If_Match=match)


def follow(tenant: Tenant, plan: Plan, **terms: Any) -> Any:
    return tenant.api.post(f"/plans/{plan.pk}/versions", terms)


def stored(plan: Plan) -> dict[str, Any]:
    with system_scope():
        return Plan.objects.values().get(pk=plan.pk)


def test_e3_a_draft_takes_other_terms_and_keeps_the_rest(ours: Tenant, draft: Plan) -> None:
    etag = ours.api.get(f"/plans/{draft.pk}")["ETag"]
    changed = change(ours, draft, etag, amount=2_900, sale_until="2027-01-01T00:00:00Z")
    told = changed.json()
    assert (changed.status_code, told["id"], told["version"], told["status"]) == (200, draft.pk, 1, "DRAFT")
    assert (told["amount"], told["sale_until"], told["name"], told["months"]) == (
        2_900,
        "2027-01-01T00:00:00Z",
        "Monthly",
        1,
    )
    assert change(ours, draft, sale_until=None).json()["sale_until"] is None
    with system_scope():
        last = Event.objects.filter(subject=f"plan:{draft.pk}").latest("id")
    assert (last.kind, last.actor) == ("plan.drafted", f"API key {ours.key.prefix}")
    assert told["created_by"] == last.actor


def test_f99_a_draft_that_changed_meanwhile_is_not_overwritten(ours: Tenant, draft: Plan) -> None:
    etag = ours.api.get(f"/plans/{draft.pk}")["ETag"]
    change(ours, draft, etag, amount=2_900)
    assert code(change(ours, draft, etag, amount=1)) == (412, "precondition_failed")
    assert code(ours.api.patch(f"/plans/{draft.pk}", {"amount": 1})) == (428, "precondition_required")
    assert stored(draft)["amount"] == 2_900


def test_e3_what_was_published_never_changes(ours: Tenant) -> None:
    before = stored(ours.plan)
    assert code(change(ours, ours.plan, amount=1)) == (422, "plan_refused")
    ours.api.post(f"/plans/{ours.plan.pk}/withdraw")
    assert code(change(ours, ours.plan, amount=1)) == (422, "plan_refused")
    assert stored(ours.plan) == before | {"status": "WITHDRAWN"}


def test_e3_a_new_version_waits_beside_what_is_on_sale_and_replaces_it(ours: Tenant) -> None:
    before = stored(ours.plan)
    made = follow(ours, ours.plan, amount=17_900)
    told = made.json()
    assert (made.status_code, made["Location"]) == (201, f"/api/v1/plans/{told['id']}")
    assert (told["family"], told["version"], told["status"]) == (str(ours.plan.family), 2, "DRAFT")
    assert (told["amount"], told["name"], told["months"]) == (17_900, ours.plan.name, 12)
    assert stored(ours.plan) == before
    assert ours.api.post(f"/plans/{told['id']}/publish").json()["status"] == "PUBLISHED"
    assert stored(ours.plan) == before | {"status": "WITHDRAWN"}


def test_f99_a_draft_that_waits_is_not_overwritten_by_another_version(ours: Tenant) -> None:
    first = follow(ours, ours.plan, amount=17_900).json()
    assert code(follow(ours, ours.plan, amount=1)) == (422, "plan_refused")
    assert ours.api.get(f"/plans/{first['id']}").json()["amount"] == 17_900
    etag = ours.api.get(f"/plans/{ours.plan.pk}")["ETag"]
    ours.api.post(f"/plans/{first['id']}/publish")
    late = ours.api.post(f"/plans/{ours.plan.pk}/versions", {}, If_Match=etag)
    assert code(late) == (412, "precondition_failed")


def test_r7_a_version_that_is_asked_for_again_is_made_once(ours: Tenant) -> None:
    answers = [ours.api.post(f"/plans/{ours.plan.pk}/versions", {"amount": 5}, once="one") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    with system_scope():
        assert Plan.objects.filter(family=ours.plan.family).count() == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("amount", value) for value in (-1, 1.5, "100", None, True, 10**13)),
        *(("months", value) for value in (0, 121, "12")),
        *(("currency", value) for value in ("CN", "CNYY", 1)),
        *(("sale_from", value) for value in ("2026-03-01", "soon", 0)),
        *(("status", "PUBLISHED"), ("level", 1), ("enterprise", 1), ("plan_type", "RESELLER"), ("version", 9)),
        ("merchant", 987_654_321),
    ],
)
def test_f82_a_wrong_field_is_refused_by_name(ours: Tenant, draft: Plan, field: str, value: Any) -> None:
    for refused in (change(ours, draft, **{field: value}), follow(ours, ours.plan, **{field: value})):
        assert (code(refused), wrong_fields(refused)) == ((400, "invalid_request"), {field})


@pytest.mark.parametrize("terms", [{"currency": "XXX"}, {"name": "x", "merchant": None}])
def test_what_the_service_or_the_shape_refuses_names_its_field(
    ours: Tenant, draft: Plan, terms: dict[str, Any]
) -> None:
    for refused in (change(ours, draft, **terms), follow(ours, ours.plan, **terms)):
        assert wrong_fields(refused) == {list(terms)[-1]}


def test_f73_a_foreign_merchant_answers_as_a_missing_one(ours: Tenant, other: Tenant, draft: Plan) -> None:
    told = [
        {**change(ours, draft, merchant=pk).json(), "request_id": ""} for pk in (other.plan.merchant_id, 987_654_321)
    ]
    assert told[0] == told[1]


def test_e1_a_plan_of_a_parent_is_read_and_not_changed_and_a_strangers_does_not_exist(
    ours: Tenant, other: Tenant
) -> None:
    below = make_tenant("below", parent=ours.enterprise)
    assert code(change(below, ours.plan, amount=1)) == (403, "not_yours_to_change")
    assert code(follow(below, ours.plan, amount=1)) == (403, "not_yours_to_change")
    assert code(change(other, ours.plan, amount=1)) == (404, "not_found")
    assert code(follow(other, ours.plan, amount=1)) == (404, "not_found")
    assert stored(ours.plan)["amount"] == 19_900


def test_x2_changing_needs_the_scope_for_it(ours: Tenant, draft: Plan) -> None:
    reader = ours.keyed("plans:read")
    assert code(reader.patch(f"/plans/{draft.pk}", {"amount": 1}, If_Match="*")) == (403, "scope_missing")
    assert code(reader.post(f"/plans/{ours.plan.pk}/versions", {})) == (403, "scope_missing")
