"""Two tenants with keys: what the tests of the API call with.

`Api` sends JSON as an integrator does and hands back the answer; it never signs in.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import ApiKey, Enterprise, Scope, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.api_keys import create_api_key
from catalog.models import Plan, Product
from tests.factories import make_enterprise, make_member, make_plan, make_product
from tests.made_once import own, within_one_transaction

EVERYTHING = tuple(scope.value for scope in Scope)


@dataclass
class Api:
    """A client with a key; without one it is anonymous."""

    key: str = ""
    client: Client = field(default_factory=Client)

    def get(self, path: str, **headers: str) -> Any:
        """GET below /api/v1."""
        return self._send("get", path, None, headers)

    def post(self, path: str, body: Any = None, *, once: str | None = None, **headers: str) -> Any:
        """POST with a new Idempotency-Key unless one is given; `once=""` sends none."""
        name = str(uuid.uuid4()) if once is None else once
        return self._send("post", path, body, {**headers, **({"Idempotency-Key": name} if name else {})})

    def put(self, path: str, body: Any, **headers: str) -> Any:
        """PUT."""
        return self._send("put", path, body, headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        """PATCH."""
        return self._send("patch", path, body, headers)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        content: dict[str, Any] = {"content_type": "application/json"} if method == "post" else {}
        if body is not None:
            text = body if isinstance(body, str | bytes) else json.dumps(body)
            content = {"data": text, "content_type": headers.pop("Content-Type", "application/json")}
        return getattr(self.client, method)(f"/api/v1{path}", headers=headers, **content)


@dataclass
class Tenant:
    """An enterprise with an administrator, a product, a published plan, and a key for everything."""

    enterprise: Enterprise
    user: User
    product: Product
    plan: Plan
    key: ApiKey
    api: Api

    def own(self) -> Tenant:
        """For one test: rows that it may change, and a client that was never used."""
        rows = (self.enterprise, self.user, self.product, self.plan, self.key)
        return Tenant(*(own(row) for row in rows), Api(self.api.key))

    def keyed(self, *scopes: str, **changes: Any) -> Api:
        """A client with another key of the tenant."""
        return Api(new_key(self.enterprise, self.user, scopes, **changes)[1])


def new_key(enterprise: Enterprise, user: User, scopes: Any = EVERYTHING, **changes: Any) -> tuple[ApiKey, str]:
    """A key made by the service, valid for 30 days of real time."""
    settings = {"name": "test", "expires_at": clock.wall() + timedelta(days=30), **changes}
    with system_scope():
        return create_api_key(
            enterprise=enterprise, scopes=scopes, user=user, now=clock.now(), wall=clock.wall(), **settings
        )


def make_tenant(name: str, parent: Enterprise | None = None) -> Tenant:
    """One of its own."""
    with system_scope():
        enterprise = make_enterprise(name, parent=parent)
        user = make_member(enterprise)
        product = make_product(enterprise, name=f"{name} product")
        plan = make_plan(product, name=f"{name} plan")
    key, text = new_key(enterprise, user)
    return Tenant(enterprise, user, product, plan, key, Api(text))


@pytest.fixture(scope="module")
def tenants(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[Tenant, Tenant]]:
    """Two that share nothing, for a file of tests."""
    with within_one_transaction(django_db_blocker):
        yield make_tenant("ours"), make_tenant("other")


@pytest.fixture
def ours(tenants: tuple[Tenant, Tenant], db: None) -> Tenant:
    """The tenant that calls."""
    cache.clear()
    return tenants[0].own()


@pytest.fixture
def other(tenants: tuple[Tenant, Tenant], db: None) -> Tenant:
    """The tenant of whom ours must learn nothing."""
    return tenants[1].own()


def code(response: Any) -> tuple[int, str]:
    """Status and code of a problem, whose shape is checked on the way."""
    assert response["Content-Type"] == "application/problem+json", response.content
    told = response.json()
    assert told["status"] == response.status_code
    assert told["type"] == f"/api/v1/problems/{told['code']}"
    assert told["request_id"] == response["X-Request-ID"]
    return response.status_code, told["code"]


def wrong_fields(response: Any) -> set[str]:
    """Names that a problem's `errors` hold."""
    return {error["field"] for error in response.json().get("errors", ())}
