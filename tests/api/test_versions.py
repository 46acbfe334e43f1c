"""Changes of what somebody has read: ETag, If-None-Match, If-Match (F99)."""

from __future__ import annotations

import pytest

from amp.foundation.scoping import system_scope
from tests.api.calling import Tenant, code, make_tenant
from tests.factories import make_product


def test_reader_who_has_it_is_told_so_without_a_body(ours: Tenant) -> None:
    path = f"/products/{ours.product.pk}"
    etag = ours.api.get(path)["ETag"]
    same = ours.api.get(path, If_None_Match=f'"x", W/{etag}')
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert ours.api.get(path, If_None_Match='"x"').status_code == 200


def test_change_needs_the_version_that_was_read(ours: Tenant) -> None:
    path = f"/products/{ours.product.pk}"
    assert code(ours.api.patch(path, {"name": "New"})) == (428, "precondition_required")
    etag = ours.api.get(path)["ETag"]
    for stale in ('"x"', f"W/{etag}", "x", etag.strip('"')):
        assert code(ours.api.patch(path, {"name": "New"}, If_Match=stale)) == (412, "precondition_failed")
    changed = ours.api.patch(path, {"name": "New"}, If_Match=f'"x", {etag}')
    assert changed.status_code == 200
    assert changed["ETag"] == ours.api.get(path)["ETag"] != etag
    assert code(ours.api.patch(path, {"name": "Newer"}, If_Match=etag)) == (412, "precondition_failed")
    assert ours.api.get(path).json()["name"] == "New"


def test_who_does_not_mind_says_so(ours: Tenant) -> None:
    assert ours.api.patch(f"/products/{ours.product.pk}", {"name": "New"}, If_Match="*").status_code == 200


def test_action_holds_the_version_where_it_is_sent(ours: Tenant) -> None:
    path = f"/plans/{ours.plan.pk}"
    assert code(ours.api.post(f"{path}/withdraw", If_Match='"x"')) == (412, "precondition_failed")
    assert ours.api.get(path).json()["status"] == "PUBLISHED"
    etag = ours.api.get(path)["ETag"]
    assert ours.api.post(f"{path}/withdraw", If_Match=etag).json()["status"] == "WITHDRAWN"


def test_missing_row_is_told_before_its_version(ours: Tenant, other: Tenant) -> None:
    for pk in (other.product.pk, 987_654_321):
        assert code(ours.api.patch(f"/products/{pk}", {"name": "x"})) == (404, "not_found")


def test_row_of_an_enterprise_above_may_be_read_and_not_changed_E1(ours: Tenant) -> None:
    below = make_tenant("below", parent=ours.enterprise)
    path = f"/products/{ours.product.pk}"
    assert below.api.get(path).status_code == 200
    assert code(below.api.patch(path, {"name": "x"}, If_Match="*")) == (403, "not_yours_to_change")
    assert code(below.api.post(f"{path}/tsl", {})) == (403, "not_yours_to_change")
    assert code(below.api.put(f"{path}/rule", {}, If_Match="*")) == (403, "not_yours_to_change")
    assert code(below.api.post(f"{path}/rule/preview", {})) == (403, "not_yours_to_change")
    assert code(below.api.post(f"/plans/{ours.plan.pk}/withdraw")) == (403, "not_yours_to_change")


@pytest.mark.parametrize("field", ["id", "key", "enterprise", "created_at", "paid_mode", "tsl_version", "status"])
def test_read_only_state_is_refused_by_name_F82(ours: Tenant, field: str) -> None:
    response = ours.api.patch(f"/products/{ours.product.pk}", {field: 1}, If_Match="*")
    assert code(response) == (400, "invalid_request")
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_two_products_alike_have_tags_of_their_own(ours: Tenant) -> None:
    with system_scope():
        twin = make_product(ours.enterprise, name="twin")
    assert ours.api.get(f"/products/{twin.pk}")["ETag"] != ours.api.get(f"/products/{ours.product.pk}")["ETag"]
