"""Enterprise > Organization: the tree with its figures, and who is paid, told before the button (G4, E1, E2)."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp import organization
from amp.foundation import clock
from amp.foundation.models import Enterprise, Event, Figure, Merchant, MerchantStatus, Role, Tally
from amp.foundation.scoping import system_scope
from catalog.services.merchants import merchant_consequences
from tests.factories import make_enterprise, make_member, make_merchant, make_plan, make_product
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]
pytestmark = pytest.mark.django_db
TREE = "/admin/foundation/enterprise/"


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def child(parent: Enterprise, name: str, *, merchant: bool = False) -> Enterprise:
    with system_scope():
        return make_enterprise(name, parent=parent, merchant=merchant)


def figures(enterprise: Enterprise, **numbers: int) -> None:
    """As the count leaves them."""
    now = clock.now()
    Tally.objects.update_or_create(
        enterprise=enterprise, group="devices", defaults={"counted_at": now, "whole_at": now, "due_at": now}
    )
    for name, number in numbers.items():
        kind, bucket = ("ends_soon", "") if name == "soon" else ("services", name)
        Figure.objects.create(enterprise=enterprise, name=kind, bucket=bucket, number=number)


def names(page: Any) -> list[str]:
    """Enterprises of the tree, from the top, indented by their depth."""

    def walk(nodes: Any, depth: int) -> Any:
        for node in nodes:
            yield f"{'-' * depth}{node.enterprise.name}"
            yield from walk(node.children, depth + 1)

    return list(walk(page.context["tree"], 0))


def test_the_tree_is_nested_and_shows_no_other_tenant_G4_R6(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    south = child(ours.enterprise, "South")
    child(south, "Deep")
    child(ours.enterprise, "North")
    child(other.enterprise, "Foreign")
    answer = ours.client().get(TREE)
    assert names(answer) == ["ours", "-South", "--Deep", "-North"]
    assert "Foreign" not in text_of(answer)
    assert ours.client().get(f"{TREE}?at={other.enterprise.pk}").status_code == 404
    with system_scope():
        leaf = Client()
        leaf.force_login(make_member(south, Role.READ_ONLY))
    assert names(leaf.get(TREE)) == ["South", "-Deep"], "never siblings or ancestors"


def test_each_enterprise_shows_its_devices_and_the_chosen_one_those_below_too_G4(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    south = child(ours.enterprise, "South")
    with system_scope():
        figures(ours.enterprise, ACTIVE=7, EXPIRED=2, TERMINATED=50, soon=3)
        figures(south, ACTIVE=10, PENDING=1)
    page = ours.client().get(f"{TREE}?at={ours.enterprise.pk}")
    top = page.context["tree"][0]
    assert {**top.figures} == {"devices": 9, "active": 7, "expiring": 3}
    assert page.context["totals"] == {"devices": 20, "active": 17, "expiring": 3, "enterprises": 1}


def test_an_enterprise_whose_figures_were_not_counted_yet_shows_none(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    page = ours.client().get(TREE)
    assert page.context["tree"][0].figures is None
    assert "Not counted yet" in text_of(page)


def test_the_effective_merchant_is_shown_with_where_it_comes_from_E1(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    south = child(ours.enterprise, "South")
    for address in (f"{TREE}?at={south.pk}", f"{TREE}{south.pk}/change/"):
        text = text_of(ours.client().get(address))
        assert ours.merchant.merchant_id in text
        assert re.search(r"[Tt]aken from ours", text), address
    with system_scope():
        make_merchant(south)
    assert "aken from ours" not in text_of(ours.client().get(f"{TREE}?at={south.pk}"))


def test_a_large_tree_shows_the_way_to_the_chosen_one_and_a_page_of_what_lies_below_G4(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organization, "WHOLE", 10)
    monkeypatch.setattr(organization, "BELOW", 4)
    ours, _ = makers
    branches = [child(ours.enterprise, f"Branch {number}") for number in range(9)]
    shops = [child(branches[7], f"Shop {number}") for number in range(3)]
    first = ours.client().get(TREE)
    assert names(first) == ["ours", *(f"-Branch {number}" for number in range(4))]
    assert first.context["tree"][0].below == 9
    following = ours.client().get(f"{TREE}?at={ours.enterprise.pk}&from=4")
    assert names(following) == ["ours", *(f"-Branch {number}" for number in range(4, 8))]
    assert "3 below" in text_of(following)
    deep = ours.client().get(f"{TREE}?at={shops[1].pk}")
    assert names(deep) == ["ours", "-Branch 7", "--Shop 1"]
    assert names(ours.client().get(f"{TREE}?at={branches[7].pk}"))[2:] == ["--Shop 0", "--Shop 1", "--Shop 2"]


def test_an_enterprise_is_found_by_its_name(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    child(child(ours.enterprise, "South"), "Deep shop")
    assert names(ours.client().get(f"{TREE}?q=deep")) == ["Deep shop"]
    assert "No enterprise has this in its name." in text_of(ours.client().get(f"{TREE}?q=other"))


@pytest.mark.parametrize("query", ["at=x", "at=²", "from=-1", f"from={'9' * 40}", "q=%00", f"q={'x' * 5000}", "at="])
def test_junk_in_the_address_of_the_tree_is_no_error(makers: tuple[Maker, Maker], query: str) -> None:
    assert makers[0].client().get(f"{TREE}?{query}").status_code in {200, 400}


@pytest.mark.parametrize("whole", [10, 500])
def test_the_tree_needs_as_many_queries_for_many_enterprises_as_for_few_G4(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(organization, "WHOLE", whole)
    ours, _ = makers
    client = ours.client()
    for number in range(12):
        child(ours.enterprise, f"First {number}")

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"{TREE}?at={ours.enterprise.pk}").status_code == 200
        return len(captured)

    cost()
    few = cost()
    with system_scope():
        made = [child(ours.enterprise, f"Second {number}") for number in range(60)]
        for enterprise in made[:30]:
            figures(enterprise, ACTIVE=1)
    assert cost() <= few <= 24


def test_a_child_starts_with_the_zone_and_currency_of_its_parent_G4(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    with system_scope():
        Enterprise.objects.filter(pk=ours.enterprise.pk).update(time_zone="Europe/Berlin", currency="EUR")
    form = ours.client().get(f"{TREE}add/?parent={ours.enterprise.pk}").context["form"]
    assert (form.initial["parent"], form.initial["time_zone"], form.initial["currency"]) == (
        str(ours.enterprise.pk),
        "Europe/Berlin",
        "EUR",
    )
    foreign = ours.client().get(f"{TREE}add/?parent={other.enterprise.pk}").context["form"]
    assert "parent" not in foreign.initial


# --- who is paid ------------------------------------------------------------------------------------------------------


def test_the_first_merchant_takes_effect_on_confirm_and_not_before_E2(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    south = child(ours.enterprise, "South")
    with system_scope():
        product = make_product(south)
        make_plan(product, now=clock.now())
    given = {"name": "South Ltd", "merchant_id": "SOUTH001"}
    address = f"{TREE}{south.pk}/merchant/"
    text = text_of(ours.client().post(address, given))
    for words in (
        "Money of 1 product goes to South Ltd",
        "taken from ours",
        "From the moment you confirm",
        "stops selling",
    ):
        assert words in text, words
    with system_scope():
        assert not Merchant.objects.filter(enterprise=south).exists()
    assert ours.client().post(address, {**given, "confirm": "1"}).status_code == 302
    with system_scope():
        assert Merchant.objects.get(enterprise=south).status == MerchantStatus.VERIFIED.value
        assert Event.objects.filter(kind="merchant.set", subject=f"enterprise:{south.pk}").exists()


def test_the_consequences_leave_out_who_has_a_merchant_of_its_own_E1(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    apart = child(ours.enterprise, "Apart", merchant=True)
    child(apart, "Below apart")
    south = child(ours.enterprise, "South")
    with system_scope():
        for enterprise in (apart, south, south):
            make_plan(make_product(enterprise), now=clock.now())
        what = merchant_consequences(enterprise=ours.enterprise)
    assert (what.before, what.enterprises, what.products, what.plans) == (ours.merchant, 2, 3, 3)


def test_the_consequences_need_a_fixed_number_of_queries(
    makers: tuple[Maker, Maker], django_assert_max_num_queries: Any
) -> None:
    ours, _ = makers
    for number in range(5):
        child(ours.enterprise, f"Child {number}", merchant=number % 2 == 0)
    with system_scope(), django_assert_max_num_queries(5):
        merchant_consequences(enterprise=ours.enterprise)


def test_a_bad_merchant_id_is_refused_before_any_consequences_and_kept(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    answer = ours.client().post(f"{TREE}{ours.enterprise.pk}/merchant/", {"name": "New", "merchant_id": "a b"})
    assert answer.status_code == 422
    assert list(answer.context["merchant_form"].errors) == ["merchant_id"]
    assert 'value="a b"' in text_of(answer)


def test_an_old_merchant_sells_until_the_change_is_verified_E2(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    address = f"{TREE}{ours.enterprise.pk}/"
    ours.client().post(f"{address}merchant/", {"name": "New Ltd", "merchant_id": "NEW0001", "confirm": "1"})
    page = ours.client().get(f"{address}change/")
    assert page.context["effective"] == ours.merchant
    assert "A change to New Ltd (NEW0001) waits." in text_of(page)
    assert ours.client().get(TREE).context["tree"][0].waits


def test_a_role_that_only_reads_sees_the_tree_and_no_form_X2(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    text = text_of(ours.client(Role.READ_ONLY).get(TREE))
    assert "Add below" not in text
    assert "Add enterprise" not in text
    for action in ("merchant/", "merchant/verify/"):
        answer = ours.client(Role.READ_ONLY).post(f"{TREE}{ours.enterprise.pk}/{action}", {"confirm": "1"})
        assert answer.status_code == 403
