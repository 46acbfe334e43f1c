"""What the API says when it refuses: one shape, one table of codes, no error outside of it (RFC 9457, F93, R6)."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from amp.foundation.api.problems import TABLE, as_problem, code_of
from amp.foundation.services.refusals import Refused
from tests.api.calling import Api, Tenant, code, wrong_fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrators.md"


@pytest.mark.parametrize("path", ["/nowhere", "", "/products/", "/products/x", "/products/1/2/3", "/Products", "/me/"])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "trace"])
def test_unknown_address_is_a_problem_in_every_method(db: None, path: str, method: str) -> None:
    response = getattr(Api().client, method)(f"/api/v1{path}")
    assert code(response) == (404, "not_found")


def test_unknown_version_is_a_problem_too(db: None) -> None:
    assert code(Api().client.get("/api/v2/products")) == (404, "not_found")
    assert code(Api().client.get("/api/")) == (404, "not_found")


def test_method_that_does_not_exist_names_those_that_do(ours: Tenant) -> None:
    response = ours.api.put("/products", {})
    assert code(response) == (405, "method_not_allowed")
    assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_options_tells_nothing_F74(ours: Tenant) -> None:
    response = ours.api.client.options("/api/v1/products", headers={"Authorization": f"Bearer {ours.api.key}"})
    assert code(response) == (405, "method_not_allowed")
    assert code(ours.api.client.options("/api/v1/products"))[0] == 401


def test_other_representation_is_refused(ours: Tenant) -> None:
    assert code(ours.api.get("/products", Accept="text/html")) == (406, "not_acceptable")
    assert ours.api.get("/products", Accept="application/*").status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_other_body_is_refused(ours: Tenant, kind: str) -> None:
    response = ours.api.post("/products", "name=x", **{"Content-Type": kind})
    assert code(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("body", ["", "{", '{"a": NaN}', '"\\ud800"', b"\xff", "[" * 5_000, '{"a":1}{', "\0"])
def test_body_that_is_no_json_is_refused(ours: Tenant, body: Any) -> None:
    assert ours.api.post("/products", body).status_code == 400


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"', "true"])
def test_body_that_is_no_object_is_refused(ours: Tenant, body: str) -> None:
    assert code(ours.api.post("/products", body)) == (400, "invalid_request")


def test_body_over_a_megabyte_is_refused_unread_F93(ours: Tenant) -> None:
    body = json.dumps({"enterprise": ours.enterprise.pk, "name": "x", "description": "y" * 1024 * 1024})
    assert code(ours.api.post("/products", body)) == (413, "too_large")
    assert code(Api().post("/nowhere", body)) == (413, "too_large")


def test_unknown_field_is_named_F82(ours: Tenant) -> None:
    wanted = {"enterprise": ours.enterprise.pk, "name": "New", "colour": "red", "id": 7, "created_at": "x"}
    response = ours.api.post("/products", wanted)
    assert code(response) == (400, "invalid_request")
    assert wrong_fields(response) == {"colour", "id", "created_at"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", value) for value in (None, 1, True, [], {}, "", " ", "x" * 121, "a\0b")),
        *(("enterprise", value) for value in (None, "1", True, 1.0, 0, -1, 10**30, 2**63, [1], {"id": 1})),
    ],
)
def test_value_of_another_kind_is_refused_by_name(ours: Tenant, field: str, value: Any) -> None:
    wanted = {"enterprise": ours.enterprise.pk, "name": "New", field: value}
    response = ours.api.post("/products", wanted)
    assert code(response) == (400, "invalid_request")
    assert wrong_fields(response) == {field}


@pytest.mark.parametrize(
    "query", ["colour=red", "name=a&name=b", "enterprise__name=x", "format=api", "name=" + "x" * 301]
)
def test_parameter_that_is_unknown_or_twice_there_is_named_F72(ours: Tenant, query: str) -> None:
    response = ours.api.get(f"/products?{query}")
    assert code(response) == (400, "invalid_parameters")
    assert wrong_fields(response) == {query.partition("=")[0]}


@pytest.mark.parametrize(
    "query", ["enterprise=x", "enterprise=0", "enterprise=" + "9" * 40, "enterprise=1.5", "enterprise=NaN"]
)
def test_filter_with_an_impossible_value_is_named(ours: Tenant, query: str) -> None:
    response = ours.api.get(f"/products?{query}")
    assert code(response) == (400, "invalid_parameters")
    assert wrong_fields(response) == {"enterprise"}


def test_nul_in_the_query_is_a_problem(ours: Tenant) -> None:
    assert code(ours.api.get("/products?name=%00")) == (400, "bad_request")


def test_retrieve_takes_no_parameters(ours: Tenant) -> None:
    assert code(ours.api.get(f"/products/{ours.product.pk}?expand=all")) == (400, "invalid_parameters")


def test_sentences_follow_the_language_and_codes_do_not(ours: Tenant) -> None:
    english = ours.api.get("/products/0").json()
    chinese = ours.api.get("/products/0", Accept_Language="zh-hans").json()
    assert english["code"] == chinese["code"]


def test_request_id_comes_back_and_one_that_could_break_a_log_does_not(ours: Tenant) -> None:
    assert ours.api.get("/me", X_Request_ID="order-4711.a")["X-Request-ID"] == "order-4711.a"
    for hostile in ("short", "x" * 65, "a b c d e f g", "abcdefgh\u00e9", "../../../etc"):
        named = ours.api.get("/me", X_Request_ID=hostile)["X-Request-ID"]
        assert named != hostile
        assert len(named) == 32


def test_foreign_id_answers_exactly_as_a_missing_one_R6(ours: Tenant, other: Tenant) -> None:
    for path in ("/products/{}", "/products/{}/tsl", "/products/{}/rule", "/plans/{}", "/enterprises/{}"):
        foreign = {"products": other.product.pk, "plans": other.plan.pk, "enterprises": other.enterprise.pk}
        pk = foreign[path.split("/")[1]]
        answers = [ours.api.get(path.format(number)) for number in (pk, 987_654_321)]
        told = [{**answer.json(), "request_id": ""} for answer in answers]
        assert code(answers[0]) == (404, "not_found")
        assert told[0] == told[1]


def test_foreign_id_in_a_body_answers_exactly_as_a_missing_one_R6(ours: Tenant, other: Tenant) -> None:
    answers = [ours.api.post("/products", {"enterprise": pk, "name": "x"}) for pk in (other.enterprise.pk, 987_654_321)]
    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert code(answers[0]) == (400, "invalid_request")
    assert told[0] == told[1]


def test_unexpected_failure_is_a_problem_without_its_cause_F97(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_view: Any) -> Any:
        raise RuntimeError("secret cause")

    monkeypatch.setattr("catalog.api.products.Products.get_queryset", fail)
    ours.api.client.raise_request_exception = False
    response = ours.api.get("/products")
    assert code(response) == (500, "internal_error")
    assert b"secret" not in response.content


def test_database_that_is_away_is_told_as_such(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_view: Any) -> Any:
        raise OperationalError("connection refused")

    monkeypatch.setattr("catalog.api.products.Products.get_queryset", fail)
    response = ours.api.get("/products")
    assert code(response) == (503, "unavailable")
    assert response["Retry-After"] == "1"


def test_race_that_only_the_database_saw_is_a_conflict() -> None:
    known = as_problem(IntegrityError("duplicate key"))
    assert known is not None
    assert known.code == "conflict"
    assert "duplicate" not in str(known.detail)


def test_code_of_a_refusal_is_the_name_of_its_exception() -> None:
    """An exception that was renamed would change a code that programs switch on: it fails here."""
    for app in ("amp", "catalog", "devices", "billing"):
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if ".services." in module.name:
                importlib.import_module(module.name)
    found = {code_of(kind) for kind in _below(Refused)}
    listed = {name for name in TABLE if name.endswith("_refused")}
    listed |= {"device_terminated", "device_gone", "device_key_taken"}
    assert len(listed) >= 8
    assert listed - found == set()


def _below(kind: type) -> set[type]:
    return {kind for child in kind.__subclasses__() for kind in {child, *_below(child)}}


def test_table_and_document_name_the_same_codes() -> None:
    documented = {
        (line.split("`")[1], int(line.split("|")[2]))
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| `") and line.split("|")[2].strip().isdecimal()
    }
    assert documented == {(name, kind.status) for name, kind in TABLE.items()}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_address_of_a_code_says_what_to_do(client: Any, db: None, name: str) -> None:
    told = client.get(f"/api/v1/problems/{name}").json()
    assert told["code"] == name
    assert told["status"] == TABLE[name].status
    assert told["remedy"]


def test_address_of_an_unknown_code_is_a_problem(client: Any, db: None) -> None:
    assert code(client.get("/api/v1/problems/none")) == (404, "not_found")
