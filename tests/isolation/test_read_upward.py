"""What may be read of an enterprise above: what it offers; not what it drafts, and not who works there (E1, R6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import reverse

from amp.foundation import scoping
from amp.foundation.models import Role
from amp.foundation.scoping import enterprise_scope, system_scope
from catalog.models import Plan, Product, ServiceRule, ThingModel
from catalog.services.plans import withdraw_plan
from devices.models import Device
from tests.crawling import pages
from tests.factories import NOW, make_plan
from tests.isolation.doors import LISTS
from tests.isolation.tenants import Tenant
from tests.isolation.worlds import World, full_rate, world

__all__ = ["full_rate", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

DRAFT, DROPPED, PERSON = "hazelnut draft", "hazelnut dropped", "author@walnut.example"


class Above(NamedTuple):
    """Rows of `ours`, which its child may try to read."""

    draft: Plan
    dropped: Plan


@pytest.fixture
def above(world: World) -> Above:
    """A draft, one that was dropped, and an author's address on everything that has one."""
    with system_scope():
        product = Product.objects.get(pk=world.ours.row(Product))
        drafts = [make_plan(product, name=name, published=False) for name in (DRAFT, DROPPED)]
        withdraw_plan(plan=drafts[1], actor="test", now=NOW)
        for model in (Plan, ServiceRule, ThingModel):
            model.objects.filter(enterprise=world.ours.enterprise).update(created_by=PERSON)
    return Above(*drafts)


def api(tenant: Tenant, path: str) -> Any:
    return Client().get(f"/api/v1{path}", headers={"Authorization": f"Bearer {tenant.key()}"})


def api_paths(world: World) -> list[str]:
    """Where plans, rules and TSLs of `ours` are told."""
    product = f"/products/{world.ours.row(Product)}"
    return [
        "/plans",
        f"/plans?enterprise={world.ours.enterprise.pk}",
        f"/plans?product={world.ours.row(Product)}",
        "/plans?status=DRAFT",
        f"/plans/{world.ours.row(Plan)}",
        f"{product}/rule",
        f"{product}/tsl",
    ]


def told_to(tenant: Tenant, world: World, further: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """What the tenant's key and its administrator are shown of `ours`, and on `further` pages."""
    for path in api_paths(world):
        yield path, api(tenant, path).content
    staff = tenant.staff()
    mine = [
        reverse("admin:catalog_plan_change", args=[world.ours.row(Plan)]),
        reverse("admin:product_rule", args=[world.ours.row(Product)]),
        reverse("admin:product_tsl", args=[world.ours.row(Product)]),
        reverse("admin:catalog_product_change", args=[world.ours.row(Product)]),
        reverse("admin:catalog_thingmodel_change", args=[world.ours.row(ThingModel)]),
        f"{reverse('admin:search')}?q=hazelnut",
        f"{reverse('admin:catalog_plan_changelist')}?q=hazelnut+d",
    ]
    lists = [reverse(f"admin:catalog_{model}_changelist") for model in ("plan", "thingmodel", "servicerule", "product")]
    for path in dict.fromkeys([*mine, *lists, *further]):
        yield path, staff.get(path).content
    for name in sorted(LISTS):
        if name.endswith("_export"):
            answer = staff.post(reverse(name), {"format": "csv"})
            yield name, b"".join(answer.streaming_content) if answer.streaming else answer.content


def showing(tenant: Tenant, world: World, further: Iterable[str] = ()) -> dict[str, set[str]]:
    """Where something of what is to be hidden is shown, and what."""
    marks, told = {DRAFT, DROPPED, PERSON}, told_to(tenant, world, further)
    seen = {path: {mark for mark in marks if mark.encode() in content} for path, content in told}
    return {path: found for path, found in seen.items() if found}


def test_e1_nothing_shows_a_child_the_drafts_and_the_people_of_those_above(world: World, above: Above) -> None:
    assert showing(world.child, world, pages(world.child.staff(), "/admin/", per_kind=2)) == {}


def test_the_owner_and_those_above_it_are_shown_both(world: World, above: Above) -> None:
    """The marks are there to be seen."""
    for tenant in (world.ours, world.parent):
        seen = showing(tenant, world)
        assert set().union(*seen.values()) == {DRAFT, DROPPED, PERSON}
        paths = api_paths(world)
        assert {path for path in paths if PERSON in seen.get(path, ())} == set(paths)


def test_e1_a_plan_that_is_on_sale_is_read_without_its_author(world: World, above: Above) -> None:
    shown = api(world.child, f"/plans/{world.ours.row(Plan)}").json()
    assert (shown["status"], shown["created_by"]) == ("PUBLISHED", None)
    product = f"/products/{world.ours.row(Product)}"
    assert [api(world.child, f"{product}/{part}").json()["created_by"] for part in ("rule", "tsl")] == [None, None]
    page = world.child.staff().get(reverse("admin:catalog_plan_change", args=[world.ours.row(Plan)]))
    assert "the enterprise above" in page.content.decode()
    own = api(world.child, f"/plans/{world.child.row(Plan)}").json()
    assert own["created_by"] == "test"


def test_f71_a_draft_of_those_above_answers_as_a_missing_one(world: World, above: Above) -> None:
    staff = world.child.staff()
    for plan in above:
        answers = [api(world.child, f"/plans/{pk}").json() | {"request_id": ""} for pk in (plan.pk, 10**12)]
        assert answers[0] == answers[1]
        for name in ("admin:catalog_plan_change", "admin:plan_edit"):
            assert staff.get(reverse(name, args=[plan.pk])).status_code == 404
    body = {"plan": above.draft.pk}, {"plan": 10**12}
    path = reverse("api:device-service-renew", args=[world.child.row(Device)])
    sent = [
        Client()
        .post(
            path,
            each,
            content_type="application/json",
            headers={"Authorization": f"Bearer {world.child.key()}", "Idempotency-Key": f"draft-{number}"},
        )
        .json()
        | {"request_id": ""}
        for number, each in enumerate(body)
    ]
    assert sent[0] == sent[1]


def test_without_the_limit_the_drafts_are_seen(world: World, above: Above, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the manager."""
    monkeypatch.setattr(
        scoping._LimitedAbove, "get_queryset", lambda self: super(scoping._LimitedAbove, self).get_queryset()
    )
    seen = showing(world.child, world)
    assert {DRAFT, DROPPED} <= set().union(*seen.values())
    assert "/plans" in seen


def test_without_the_mask_the_people_are_seen(world: World, above: Above, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the author's field and filter."""
    for module in ("amp.foundation.api.fields", "amp.foundation.templatetags.amp_display"):
        monkeypatch.setattr(f"{module}.author_in", lambda _enterprise_id, author: author)
    seen = {path for path, marks in showing(world.child, world).items() if PERSON in marks}
    plan, rule, tsl = (
        reverse("admin:catalog_plan_change", args=[world.ours.row(Plan)]),
        reverse("admin:product_rule", args=[world.ours.row(Product)]),
        reverse("admin:product_tsl", args=[world.ours.row(Product)]),
    )
    assert {plan, rule, tsl, reverse("admin:catalog_thingmodel_changelist"), *api_paths(world)} - seen <= {
        "/plans?status=DRAFT"
    }


@pytest.mark.parametrize("role", [Role.READ_ONLY, Role.ENTERPRISE_ADMINISTRATOR])
def test_whoever_reads_at_the_child_is_shown_no_draft(world: World, above: Above, role: Role) -> None:
    page = world.child.staff(role).get(reverse("admin:catalog_plan_changelist")).content.decode()
    assert "walnut plan" in page
    assert DRAFT not in page


def test_the_scope_itself_holds_only_what_is_on_sale_above(world: World, above: Above) -> None:
    child = world.child.enterprise
    with enterprise_scope([child.pk], child.ancestor_ids):
        assert not Plan.objects.filter(name__startswith="hazelnut").exists()
        assert Plan.objects.filter(pk=world.ours.row(Plan)).exists()
    with enterprise_scope([world.ours.enterprise.pk], world.ours.enterprise.ancestor_ids):
        assert Plan.objects.filter(name__startswith="hazelnut").count() == 2
