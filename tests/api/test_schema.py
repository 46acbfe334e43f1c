"""The API describes itself, and the description is true: committed, complete, served and readable offline."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from rest_framework.viewsets import GenericViewSet

from amp.foundation.api.endpoints import Endpoint
from amp.foundation.api.problems import TABLE
from amp.foundation.models import Scope
from amp.management.commands.schema import WHERE, written


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The committed one."""
    return json.loads(WHERE.read_text())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything."""
    return [(path, method, what) for path, each in document["paths"].items() for method, what in each.items()]


def endpoints() -> dict[type[Endpoint], set[str]]:
    """Every endpoint below /api/v1/, with the actions that its addresses reach."""
    found: dict[type[Endpoint], set[str]] = {}
    waiting = [("/", get_resolver())]
    while waiting:
        prefix, resolver = waiting.pop()
        for pattern in resolver.url_patterns:
            if hasattr(pattern, "url_patterns"):
                waiting.append((prefix, pattern))
            elif issubclass(view := getattr(pattern.callback, "cls", object), GenericViewSet):
                found.setdefault(view, set()).update(pattern.callback.actions.values())  # type: ignore[type-var]
    return found


def test_committed_description_is_what_the_code_says() -> None:
    assert WHERE.read_text() == written(), "Run make schema."


def test_nothing_is_left_to_chance_where_the_description_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """The generator warns where it had to make a name up or could not tell what a field is."""
    GENERATOR_STATS.reset()  # it says each thing once a process
    written()
    assert capsys.readouterr().err == ""
    assert not GENERATOR_STATS


def test_served_description_is_the_committed_one(db: None, document: dict[str, Any]) -> None:
    response = Client().get("/api/v1/schema/")
    assert response["Content-Type"] == "application/json"
    assert response.json() == document


def test_every_endpoint_names_a_scope_for_every_action_F74() -> None:
    found = endpoints()
    assert len(found) >= 5
    for view, actions in found.items():
        assert issubclass(view, Endpoint), view
        assert actions <= view.scopes.keys(), view
        assert all(isinstance(scope, Scope | None) for scope in view.scopes.values())
    open_to_all = {view.__name__ for view, _ in found.items() if None in view.scopes.values()}
    assert open_to_all == {"Me"}


def test_every_operation_tells_what_can_go_wrong(document: dict[str, Any]) -> None:
    for path, method, what in operations(document):
        told = what["responses"].keys()
        needed = {"400", "401", "403", "406", "429", "500", "503"}
        needed |= {"409", "413", "415"} if method != "get" else set()
        needed |= {"412", "428"} if method in ("put", "patch", "delete") else set()
        needed |= {"404"} if "{" in path else set()
        assert needed <= told, (path, method, needed - told)
        assert what["summary"], path
        assert what["tags"], path


COMPUTING = ("/preview", "/payment")
"""These change nothing, or answer the same each time by themselves."""


def test_every_post_asks_for_an_idempotency_key_unless_it_only_computes(document: dict[str, Any]) -> None:
    for path, method, what in operations(document):
        asked = {"$ref": "#/components/parameters/IdempotencyKey"} in what["parameters"]
        assert asked == (method == "post" and not path.endswith(COMPUTING)), path


def test_every_problem_has_an_example_of_each_of_its_codes(document: dict[str, Any]) -> None:
    shown: set[str] = set()
    for name, response in document["components"]["responses"].items():
        for code, example in response["content"]["application/problem+json"]["examples"].items():
            assert example["value"]["code"] == code
            assert f"Problem{TABLE[code].status}" in name
            shown.add(code)
    assert shown >= {"product_refused", "plan_refused", "rule_refused", "invalid_tsl", "idempotency_key_reused"}


def test_every_body_is_closed_F82(document: dict[str, Any]) -> None:
    bodies = {name: one for name, one in document["components"]["schemas"].items() if name.endswith("Request")}
    assert len(bodies) >= 4
    assert [name for name, one in bodies.items() if one.get("additionalProperties") is not False] == []


def test_documentation_loads_nothing_from_elsewhere_and_fits_its_policy(db: None) -> None:
    page = Client().get("/api/v1/docs/")
    text = page.content.decode()
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href|data-schema)="([^"]+)"', text)
    assert len(loaded) == 5
    for address in loaded:
        assert address.startswith("/"), address
        if "/static/" in address:
            assert finders.find(address.partition("static/")[2]), address
    assert "<script>" not in text
    assert "style=" not in text
    assert "'unsafe-inline'" not in page["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
