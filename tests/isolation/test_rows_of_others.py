"""Every address with an id × every method × everybody who is not its owner: as if the row didn't exist (R6, F71, F73).

The answers are compared with those to an id that no row has, byte for byte but for what differs between any two
answers; and whatever was sent, nothing was changed.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve

from amp.foundation.models import Enterprise, Role, User
from amp.foundation.scoping import READ_UPWARD
from billing.models import Order
from catalog.models import Plan, Product
from devices.models import Command, Device, DeviceService
from tests.isolation.doors import ROWS, address
from tests.isolation.tenants import Tenant
from tests.isolation.worlds import World, full_rate, world
from tests.services.admin_world import rows

__all__ = ["full_rate", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

CHANGING = re.compile(
    rb'name="csrfmiddlewaretoken" value="[^"]+"|"request_id":"[^"]+"|nonce-[\w+/=]+|nonce="[^"]*"|/admin/[\w/]*\d[\w/]*'
    rb"|/api/v1/[\w/-]*\d[\w/-]*"
)
ADMIN = [name for name in ROWS if name.startswith("admin:")]
API = [name for name in ROWS if name.startswith("api:")]


class Caller(NamedTuple):
    """Somebody who tries addresses: a browser, or a key of the API."""

    tenant: Tenant
    client: Client
    headers: dict[str, str]

    @classmethod
    def staff(cls, tenant: Tenant) -> Caller:
        return cls(tenant, tenant.staff(), {})

    @classmethod
    def key(cls, tenant: Tenant) -> Caller:
        return cls(tenant, Client(), {"Authorization": f"Bearer {tenant.key()}"})

    def unlike_missing(self, name: str, owner: Tenant) -> Iterator[str]:
        """Methods by which the owner's address answers otherwise than one of no row at all."""
        for method in methods(name):
            there, nowhere = (told(self.send(method, name, tenant)) for tenant in (owner, None))
            if there != nowhere or there[0] not in {302, 401, 403, 404, 405}:
                yield f"{method} {name}: {there[0]} instead of {nowhere[0]}"

    def send(self, method: str, name: str, owner: Tenant | None) -> Any:
        path = address(name, owner)
        if method == "get":
            return self.client.get(path, headers=self.headers)
        sent = {**self.headers, "Idempotency-Key": str(uuid.uuid4()), "If-Match": "*"}
        if not name.startswith("api:"):
            return self.client.post(path, {"why": "x", "reason": "x"}, headers=sent)
        body = {"plan": self.tenant.row(Plan)} if name == "api:device-service-renew" else {}
        return getattr(self.client, method)(path, json.dumps(body), content_type="application/json", headers=sent)


def methods(name: str) -> list[str]:
    """Those that the address may have; pages are tried with both."""
    if name.startswith("admin:"):
        return ["get", "post"]
    actions = getattr(resolve(address(name, None)).func, "actions", None) or {}
    return sorted(set(actions) - {"head"})


def told(answer: HttpResponse) -> tuple[int, str, bytes]:
    """What a reader can tell an answer by."""
    location = CHANGING.sub(b"", answer.get("Location", "").encode()).decode()
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return answer.status_code, location, CHANGING.sub(b"", content)


@pytest.mark.parametrize("who", ["stranger", "sibling", "child"])
def test_pages_of_others_answer_as_missing_ones(world: World, who: str) -> None:
    """What a child may read upward is left to the next test."""
    before = rows()
    caller = Caller.staff(getattr(world, who))
    names = [name for name in ADMIN if who != "child" or not _is_readable_upward(name)]
    assert [found for name in names for found in caller.unlike_missing(name, world.ours)] == []
    assert rows() == before


def test_nobody_signs_in_by_knowing_an_address(world: World) -> None:
    """Anonymous: led to the sign-in, or 401, whether the row exists or not."""
    nobody = Caller(world.stranger, Client(), {})
    assert [found for name in ROWS for found in nobody.unlike_missing(name, world.ours)] == []
    statuses = {name: nobody.send("get", name, world.ours).status_code for name in ROWS}
    assert {name: status for name, status in statuses.items() if status not in {302, 401, 405}} == {}


@pytest.mark.parametrize("who", ["stranger", "sibling", "child"])
def test_endpoints_of_others_answer_as_missing_ones(world: World, who: str) -> None:
    before = rows()
    caller = Caller.key(getattr(world, who))
    names = [name for name in API if who != "child" or not _is_readable_upward(name)]
    assert [found for name in names for found in caller.unlike_missing(name, world.ours)] == []
    assert rows() == before


def test_what_a_child_may_read_upward_it_may_not_change(world: World) -> None:
    """E1: products, TSLs, rules and plans of an ancestor; never by a changing method."""
    before, staff, key = rows(), Caller.staff(world.child), Caller.key(world.child)
    for name in (name for name in ROWS if _is_readable_upward(name)):
        for method in set(methods(name)) - {"get"}:
            caller = staff if name.startswith("admin:") else key
            status = caller.send(method, name, world.ours).status_code
            assert status in {200, 302, 400, 403, 404, 405}, f"{method} {name}: {status}"  # pages are shown
    assert rows() == before


def test_a_parent_reaches_its_childrens_rows(world: World) -> None:
    """What is closed to strangers is open to those above (E1): the matrix can't pass by closing everything."""
    staff, headers = world.parent.staff(), {"Authorization": f"Bearer {world.parent.key()}"}
    for name in ("admin:device_details", "admin:billing_order_change", "admin:catalog_plan_change"):
        assert staff.get(address(name, world.ours)).status_code == 200, name
    for name in ("api:device-detail", "api:order-detail", "api:plan-detail", "api:enterprise-detail"):
        assert Client().get(address(name, world.ours), headers=headers).status_code == 200, name


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMINISTRATOR])
def test_no_role_reaches_another_tenant(world: World, role: Role) -> None:
    """Reading is enough here: what a role may change is decided after the row was found."""
    client = world.stranger.staff(role)
    found = [name for name in ADMIN if client.get(address(name, world.ours)).status_code not in {403, 404, 405}]
    assert found == []


@pytest.mark.parametrize("model", [Device, DeviceService, Order, Command, Plan, Product, Enterprise])
def test_the_matrix_fails_when_the_scope_of_one_table_is_removed(
    world: World, model: type[models.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: each of these tables, unscoped, is seen through at least one address."""
    everything = model.objects.with_scopes_disabled()  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "objects", everything)
    monkeypatch.setitem(model._meta.__dict__, "default_manager", everything)
    staff, key = Caller.staff(world.stranger), Caller.key(world.stranger)
    for caller in (staff, key):  # what stumbles over the tables that are still scoped has been seen too
        caller.client.raise_request_exception = False
    concerned = [name for name, kwargs in ROWS.items() if model in kwargs.values()]
    callers = {name: staff if name.startswith("admin:") else key for name in concerned}
    assert [found for name, caller in callers.items() for found in caller.unlike_missing(name, world.ours)]


def _is_readable_upward(name: str) -> bool:
    labels = {model._meta.label for model in ROWS[name].values() if not isinstance(model, str)}
    return bool(labels & READ_UPWARD)


def test_who_administers_one_tenant_only_reaches_no_person_of_another(world: World) -> None:
    """X6: a person's traces don't stop at an enterprise, so the page is for those who see all of them."""
    person = world.ours.person()
    for role in (Role.PLATFORM_ADMINISTRATOR, Role.ENTERPRISE_ADMINISTRATOR):
        client = world.stranger.staff(role)
        for deed in ("", "export", "erase"):
            asked = {"asked": person.email, "typed": person.email, "do": deed}
            assert client.post("/admin/personal-data/", asked).status_code == 403
    assert User.objects.filter(pk=person.pk, is_active=True).exists()
