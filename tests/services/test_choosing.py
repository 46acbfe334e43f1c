"""Selects of enterprises and products: a hundred choices are listed, more are searched, each in scope (F77, E1)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from amp.foundation import choosing
from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from tests.factories import make_enterprise, make_member
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]
pytestmark = pytest.mark.django_db
ADD = "/admin/catalog/product/add/"
DEVICES = "/admin/devices/device/"
BRANCH = re.compile(r"<option [^>]*>[^<]*branch \d")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three choices are many."""
    monkeypatch.setattr(choosing, "MOST", 3)


@pytest.fixture
def branches(makers: tuple[Maker, Maker]) -> list[Any]:
    with system_scope():
        return [make_enterprise(name=f"branch {number}", parent=makers[0].enterprise) for number in range(5)]


def found(client: Client, name: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(reverse(f"admin:{name}_choices"), asked)
    assert answer.status_code == 200
    return dict(answer.json())


def names(told: dict[str, Any]) -> list[str]:
    return [each["text"] for each in told["results"]]


@pytest.mark.parametrize("address", [ADD, DEVICES, "/admin/foundation/event/", "/admin/devices/device/import/"])
def test_a_few_choices_are_listed_and_many_are_searched(
    makers: tuple[Maker, Maker], branches: list[Any], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = makers[0].client()
    listed = client.get(address).content.decode()
    assert len(BRANCH.findall(listed)) == 5
    assert "select2" not in listed
    monkeypatch.setattr(choosing, "MOST", 3)
    searched = client.get(address).content.decode()
    assert not BRANCH.findall(searched)
    assert f'data-ajax--url="{reverse("admin:enterprise_choices")}' in searched
    assert "select2.full.js" in searched


def test_what_was_chosen_stays_chosen_and_can_be_saved_although_it_is_not_listed(
    makers: tuple[Maker, Maker], branches: list[Any], few: None
) -> None:
    client, last = makers[0].client(), branches[-1]
    wrong = client.post(ADD, {"enterprise": last.pk, "name": ""}).content.decode()
    assert f'<option value="{last.pk}" selected' in wrong
    assert client.post(ADD, {"enterprise": last.pk, "name": "Probe"}).status_code == 302
    narrowed = client.get(DEVICES, {"enterprise": last.pk}).content.decode()
    assert f'<option value="{last.pk}" selected' in narrowed
    assert "<span>enterprise:</span> branch 4" in narrowed


@pytest.mark.parametrize("strange", ["x", "0", "-1", str(10**30), "1\0", "٣"])
def test_values_that_are_no_choice_are_refused_in_words(
    makers: tuple[Maker, Maker], branches: list[Any], few: None, strange: str
) -> None:
    client = makers[0].client()
    assert "amp-error" in client.post(ADD, {"enterprise": strange, "name": "x"}).content.decode()
    assert client.get(DEVICES, {"enterprise": strange}).status_code == 400
    assert client.get(reverse("admin:enterprise_choices"), {"term": strange, "page": strange}).status_code in {200, 400}


def test_the_search_offers_what_the_form_accepts_and_nothing_of_others_F77(
    makers: tuple[Maker, Maker], branches: list[Any]
) -> None:
    ours, theirs = makers
    assert names(found(ours.client(), "enterprise")) == [ours.enterprise.name, *(each.name for each in branches)]
    assert names(found(ours.client(), "enterprise", term="ANCH 3")) == ["branch 3"]
    assert names(found(ours.client(), "product")) == [ours.product.name]
    assert names(found(theirs.client(), "enterprise", term="branch")) == []
    assert names(found(theirs.client(), "product", term=ours.product.name)) == []
    assert names(found(theirs.client(), "merchant", term=ours.merchant.name)) == []
    assert names(found(theirs.client(), "level", term=ours.product.name)) == []


def test_the_search_for_a_form_leaves_out_where_the_user_may_not_X2(
    makers: tuple[Maker, Maker], branches: list[Any]
) -> None:
    user = makers[0].person(Role.READ_ONLY)
    with system_scope():
        make_member(branches[1], Role.ENTERPRISE_ADMINISTRATOR, email=user.email)
    client = Client()
    client.force_login(user)
    assert names(found(client, "enterprise", action="edit_catalog")) == ["branch 1"]
    assert len(names(found(client, "enterprise"))) == 6, "the filter of a list offers all that are seen"


def test_pages_of_the_search_follow_each_other(
    makers: tuple[Maker, Maker], branches: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "PAGE", 4)
    client = makers[0].client()
    first, second = found(client, "enterprise"), found(client, "enterprise", page=2)
    assert [told["pagination"]["more"] for told in (first, second)] == [True, False]
    assert names(first)[1:] + names(second) == [each.name for each in branches]


def test_only_products_whose_paid_service_is_on_are_offered_where_the_list_has_no_others(
    makers: tuple[Maker, Maker],
) -> None:
    ours, _theirs = makers
    client = ours.client()
    paid = names(found(client, "product", paid="yes"))
    assert paid == [ours.product.name]
    with system_scope():
        ours.product.rules.update(paid_mode=False)
    assert names(found(client, "product", paid="yes")) == []
    assert names(found(client, "product")) == [ours.product.name]
