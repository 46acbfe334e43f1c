"""Every list × filter, ordering, related field and export, and every endpoint × key: nothing of others (R6, F72–F77).

Each tenant's rows carry its mark in every name, so that whatever shows one shows the mark.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib import admin
from django.db.models import ForeignKey, Model
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode
from django_filters import CharFilter, ChoiceFilter, DateFilter, Filter, UUIDFilter

from alerts.filters import DaysFilter
from alerts.models import Webhook
from amp.foundation import clock
from amp.foundation.filters import IdFilter
from amp.foundation.lists.offered import RowChoiceFilter
from amp.foundation.models import ApiKey, Enterprise, Scope, User
from billing.models import Bill
from catalog.models import Plan, Product
from devices.models import Device
from tests.isolation.doors import BY_MODEL, LISTS, ROWS, doors, registered_models
from tests.isolation.tenants import Tenant
from tests.isolation.worlds import World, full_rate, world

__all__ = ["full_rate", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

ELSEWHERE = 10**12
"""An id that no row has."""
FILTERED: dict[str, type[Model]] = {
    "enterprise": Enterprise,
    "parent": Enterprise,
    "product": Product,
    "device": Device,
    "bill": Bill,
    "webhook": Webhook,
}
WORDS = {"key": "{}-1", "serial": "{}-S1"}
"""How the words begin that lists are filtered by; others by the mark alone."""
DIFFERS = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]+"|"request_id":"[^"]+"|nonce="[^"]*"|\d+')


class Action(NamedTuple):
    """One method of one endpoint, and the scope it needs (None: any key)."""

    name: str
    method: str
    scope: Scope | None
    path: str


def actions(owner: Tenant) -> Iterator[Action]:
    """Every endpoint of the API that takes a key, with the owner's rows in its address."""
    for door in doors():
        view = door.pattern.callback
        for method, action in dict(getattr(view, "actions", None) or {}).items():
            if method != "head":
                kwargs = ROWS.get(door.name, {})
                names = {part: what if isinstance(what, str) else owner.row(what) for part, what in kwargs.items()}
                yield Action(door.name, method, view.cls.scopes[action], reverse(door.name, kwargs=names))


def send(action: Action, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "x", "If-Match": "*"}
    if action.method == "get":
        return Client().get(action.path, headers=headers)
    return getattr(Client(), action.method)(action.path, "{}", content_type="application/json", headers=headers)


def shows(answer: Any, marks: set[str]) -> set[str]:
    """Marks of others in an answer, streamed or whole."""
    streamed = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return {mark for mark in marks if mark.encode() in streamed}


@pytest.mark.parametrize("who", ["stranger", "sibling"])
def test_no_list_shows_a_row_of_others(world: World, who: str) -> None:
    """Pages, exports (F76) and endpoints, as they open."""
    me: Tenant = getattr(world, who)
    above = {world.parent.mark} if who == "sibling" else set()  # products, rules and plans are read upward (E1)
    others = {tenant.mark for tenant in world} - {me.mark, *above}
    staff, headers = me.staff(), {"Authorization": f"Bearer {me.key()}"}
    leaks = {}
    for name in LISTS - {"admin:app_list", "api:order-preview"}:
        path = reverse(name)
        if name.endswith("_export"):
            answer = staff.post(path, {"format": "csv"})
        else:
            answer = Client().get(path, headers=headers) if name.startswith("api:") else staff.get(path, follow=True)
        if found := shows(answer, others):
            leaks[name] = found
    assert leaks == {}


def test_the_owner_sees_its_mark_on_every_list_that_strangers_were_tried_on(world: World) -> None:
    """The other side: the marks are there to be seen."""
    staff, headers = world.ours.staff(), {"Authorization": f"Bearer {world.ours.key()}"}
    lists = [reverse(f"admin:{name}_changelist") for name in BY_MODEL if name not in {"catalog_servicerule"}]
    dark = [path for path in lists if not shows(staff.get(path, follow=True), {"walnut"})]
    assert dark == []
    endpoints = [
        reverse(f"api:{name}-list")
        for name in (*("enterprise", "product", "plan", "device", "device-service", "validity"),)
    ]
    assert [path for path in endpoints if not shows(Client().get(path, headers=headers), {"walnut"})] == []


class Asked(NamedTuple):
    """A list's filter, and what it is asked for: something of a tenant's, and the same of nobody's."""

    path: str
    name: str
    foreign: object
    nothing: object


def _filters() -> Iterator[tuple[str, str, Filter]]:
    """Every filter of every list, with the list's address."""
    for model in registered_models():
        filterset = getattr(admin.site._registry[model], "filterset_class", None)
        path = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        yield from ((path, name, each) for name, each in getattr(filterset, "base_filters", {}).items())
    for door in doors():
        filterset = getattr(getattr(door.pattern.callback, "cls", None), "filterset_class", None)
        if filterset and door.name.endswith("-list"):
            yield from ((reverse(door.name), name, each) for name, each in filterset.base_filters.items())


def _asked(owner: Tenant) -> Iterator[Asked]:
    """What each filter by a row, or by words of one, is asked for. Fixed words and days are of no tenant."""
    plan = owner.rows[Plan]
    assert isinstance(plan, Plan)
    for path, name, each in _filters():
        if isinstance(each, DaysFilter | DateFilter):
            continue
        if isinstance(each, RowChoiceFilter | IdFilter):
            foreign = plan.merchant_id if name == "merchant" else owner.row(FILTERED[name])
            yield Asked(path, name, foreign, ELSEWHERE)
        elif isinstance(each, UUIDFilter):
            yield Asked(path, name, plan.family, uuid.uuid4())
        elif isinstance(each, CharFilter):
            yield Asked(path, name, WORDS.get(name, "{}").format(owner.mark), WORDS.get(name, "{}").format("nobody"))
        else:
            assert isinstance(each, ChoiceFilter), f"{path}?{name}"


def _told_apart(caller: Tenant, owner: Tenant, *, only: str = "") -> list[str]:
    """Filters that answer otherwise about the owner's rows than about what nobody has."""
    staff, headers = caller.staff(), {"Authorization": f"Bearer {caller.key()}"}
    return [
        f"{asked.path}?{asked.name}"
        for asked in _asked(owner)
        if only in asked.path and len({_told(staff, asked.path, {asked.name: each}, headers) for each in asked[2:]}) > 1
    ]


def test_a_filter_by_anothers_row_answers_as_by_one_of_nothing_F72(world: World) -> None:
    """Ids, families and words of another tenant's rows: the same answer, but for what was asked."""
    assert len(list(_asked(world.ours))) > 40
    assert _told_apart(world.stranger, world.ours) == []


def test_the_same_filters_answer_their_owner_otherwise(world: World) -> None:
    """The other side: what was asked for is there to be found."""
    told = {path.rpartition("?")[2] for path in _told_apart(world.ours, world.ours, only="/devices")}
    assert told >= {"enterprise", "product", "device", "key", "serial"}


def _told(client: Client, path: str, query: dict[str, object], headers: dict[str, str]) -> tuple[int, bytes]:
    asker, told = (client, {}) if path.startswith("/admin/") else (Client(), headers)
    answer = asker.get(f"{path}?{urlencode(query)}", headers=told)
    word = str(*query.values()).encode()
    return answer.status_code, DIFFERS.sub(b"", answer.content.replace(word, b""))


def test_a_search_for_anothers_mark_finds_nothing(world: World) -> None:
    """Prefix search goes over several columns, each scoped: as empty as a search for a word that nobody has."""
    staff = world.stranger.staff()
    for model in registered_models():
        path = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        found, nothing = (
            DIFFERS.sub(b"", staff.get(f"{path}?q={word}", follow=True).content.replace(word.encode(), b""))
            for word in ("walnut", "wolnut")
        )
        assert found == nothing, path


def test_no_related_field_completes_to_a_row_of_others_F77(world: World) -> None:
    """Django's autocomplete, asked for every foreign key of every model."""
    staff = world.stranger.staff()
    for model in registered_models():
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey):
                query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                answer = staff.get(reverse("admin:autocomplete"), {**query, "field_name": field.name, "term": ""})
                assert answer.status_code in {403, 404} or not shows(answer, {"walnut"}), (model, field.name)


def test_a_key_does_what_its_scope_says_and_nothing_else_X2(world: World) -> None:
    """Each endpoint with every scope but its own, and with its own alone."""
    key = world.ours.key()
    row = ApiKey._base_manager.filter(pk=world.ours.row(ApiKey))
    wrong = []
    for action in actions(world.ours):
        if action.scope is None:
            continue
        row.update(scopes=[scope.value for scope in Scope if scope is not action.scope])
        if send(action, key).json().get("code") != "scope_missing":
            wrong.append(f"{action.method} {action.name} opens without {action.scope}")
        row.update(scopes=[action.scope.value])
        answer = send(action, key)
        if answer.status_code == 403 and b'"scope_missing"' in answer.content:
            wrong.append(f"{action.method} {action.name} is closed to {action.scope}")
    assert wrong == []


@pytest.mark.parametrize("how", ["expired", "revoked", "maker gone", "no such key"])
def test_a_key_that_has_ended_opens_nothing_X1(world: World, how: str) -> None:
    key, wall = world.ours.key(), clock.wall()
    row = ApiKey._base_manager.filter(pk=world.ours.row(ApiKey))
    match how:
        case "expired":
            row.update(expires_at=wall - timedelta(seconds=1))
        case "revoked":
            row.update(revoked_at=wall)
        case "maker gone":
            User.objects.filter(pk=row.get().created_by_id).update(is_active=False)
        case _:
            key = key[:-2] + "xx"
    assert {action.name: send(action, key).status_code for action in actions(world.ours)} == {
        action.name: 401 for action in actions(world.ours)
    }
