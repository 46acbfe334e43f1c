"""Plans: published for good, followed by versions, on sale for the right devices only (E3, E4, F38)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from amp.foundation.models import Event
from amp.foundation.scoping import enterprise_scope, system_scope
from amp.foundation.services.enterprises import verify_merchant
from catalog.models import Plan, PlanStatus, PlanType, Product
from catalog.services.plans import (
    PlanRefused,
    edit_plan,
    plans_on_sale,
    products_including,
    publish_plan,
    withdraw_plan,
)
from catalog.services.rules import current_rule
from tests.factories import (
    NOW,
    UserFactory,
    make_enterprise,
    make_merchant,
    make_plan,
    make_product,
    make_rule_change,
)

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def _edit(plan: Plan, **changes: Any) -> Plan:
    names = ("merchant", "name", "amount", "currency", "months", "sale_from", "sale_until")
    return edit_plan(plan=plan, actor="ann", now=LATER, **{name: getattr(plan, name) for name in names} | changes)


def _on_sale(product: Product, enterprise: Any = None, now: Any = NOW) -> list[Plan]:
    return plans_on_sale(product=product, device_enterprise=enterprise or product.enterprise, now=now)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"amount": -1}, "amount"),
        ({"amount": 10**12 + 1}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": float("nan")}, "amount"),
        ({"currency": "RMB"}, "currency"),
        ({"months": 0}, "months"),
        ({"months": 121}, "months"),
        ({"months": -12}, "months"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"sale_from": LATER, "sale_until": LATER}, "sale_until"),
    ],
)
def test_terms_outside_their_range_are_refused_with_their_field(terms: dict[str, Any], field: str) -> None:
    """F38."""
    product = make_product()
    with pytest.raises(PlanRefused) as refused:
        make_plan(product, **terms)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert not Plan.objects.exists()


@pytest.mark.parametrize("wrong", [{"amount": -1}, {"amount": 10**12 + 1}, {"months": 0}, {"months": 121}])
def test_the_database_itself_refuses_a_wrong_price_or_period(wrong: dict[str, int]) -> None:
    plan = make_plan()
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(**wrong)


def test_a_plan_is_sold_by_the_own_or_the_effective_merchant_only() -> None:
    product = make_product()
    stranger = make_merchant(make_enterprise(merchant=False))
    with pytest.raises(PlanRefused) as refused:
        make_plan(product, merchant=stranger)
    assert refused.value.problems[0].field == "merchant"
    drafted = make_merchant(product.enterprise)
    waiting = make_plan(product, merchant=drafted, published=False)
    with pytest.raises(PlanRefused, match="verified"):
        publish_plan(plan=waiting, actor="ann", now=NOW)


def test_a_published_plan_stays_on_sale_unchanged_until_its_new_version_is_published() -> None:
    """E3."""
    product = make_product()
    first = make_plan(product, amount=19_900)
    second = _edit(first, amount=29_900)
    assert (second.version, second.family, second.status) == (2, first.family, PlanStatus.DRAFT.value)
    assert [plan.amount for plan in _on_sale(product)] == [19_900]
    assert _edit(first, amount=39_900).pk == second.pk
    publish_plan(plan=second, actor="ann", now=LATER)
    assert [(plan.pk, plan.amount) for plan in _on_sale(product)] == [(second.pk, 39_900)]
    first.refresh_from_db()
    assert (first.status, first.amount) == (PlanStatus.WITHDRAWN.value, 19_900)
    kinds = Event.objects.filter(subject=f"plan:{first.pk}").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["plan.drafted", "plan.published", "plan.withdrawn"]


def test_only_a_draft_can_be_published_and_two_published_versions_are_impossible() -> None:
    plan = make_plan()
    with pytest.raises(PlanRefused, match="Only a draft"):
        publish_plan(plan=plan, actor="ann", now=LATER)
    draft = _edit(plan)
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.filter(pk=draft.pk).update(status=PlanStatus.PUBLISHED.value)


def test_a_sale_that_is_over_is_not_published() -> None:
    plan = make_plan(sale_until=LATER, published=False)
    with pytest.raises(PlanRefused, match="already over"):
        publish_plan(plan=plan, actor="ann", now=LATER)


def test_a_withdrawn_plan_is_off_sale_and_withdrawing_twice_does_no_harm() -> None:
    product = make_product()
    plan = make_plan(product)
    for _ in range(2):
        withdraw_plan(plan=plan, actor="ann", now=LATER)
    assert _on_sale(product) == []
    assert Event.objects.filter(kind="plan.withdrawn").count() == 1


def test_sale_dates_are_inclusive_at_the_start_and_exclusive_at_the_end() -> None:
    product = make_product()
    make_plan(product, sale_from=NOW, sale_until=LATER)
    tick = timedelta(microseconds=1)
    shown = [bool(_on_sale(product, now=now)) for now in (NOW - tick, NOW, LATER - tick, LATER)]
    assert shown == [False, True, True, False]


def test_nothing_is_on_sale_while_paid_mode_is_off() -> None:
    """A1, E4."""
    product = make_product()
    make_plan(product)
    make_rule_change(product, paid_mode=False, now=LATER)
    assert _on_sale(product) == []


def test_a_plan_is_on_sale_for_its_own_product_only() -> None:
    product = make_product()
    plan = make_plan(product)
    other = make_product(product.enterprise)
    assert (_on_sale(product), _on_sale(other)) == ([plan], [])


def test_a_resellers_plan_is_for_devices_of_that_reseller_and_not_of_its_sibling() -> None:
    """E4: siblings may share their parent's merchant, and still don't sell for each other."""
    product = make_product()
    reseller = make_enterprise(parent=product.enterprise, merchant=False)
    sibling = make_enterprise(parent=product.enterprise, merchant=False)
    plan = make_plan(product, enterprise=reseller, plan_type=PlanType.RESELLER, amount=100)
    assert _on_sale(product, reseller) == [plan]
    assert _on_sale(product, sibling) == []
    assert _on_sale(product) == []


def test_plans_of_the_old_merchant_are_off_sale_once_the_merchant_changed() -> None:
    """E4 with E2."""
    product = make_product()
    old = make_plan(product)
    draft = make_merchant(product.enterprise)
    assert _on_sale(product) == [old]
    verified = verify_merchant(merchant=draft, user=UserFactory(), now=LATER)
    assert _on_sale(product) == []
    new = publish_plan(plan=_edit(old, merchant=verified), actor="ann", now=LATER)
    assert _on_sale(product) == [new]


def test_a_resellers_customer_sees_the_makers_plans_in_the_resellers_own_scope() -> None:
    product = make_product()
    plan = make_plan(product)
    reseller = make_enterprise(parent=product.enterprise)
    with enterprise_scope([reseller.pk], [product.enterprise_id]):
        assert _on_sale(product, reseller) == [plan]


def test_a_rule_follows_the_new_version_of_the_plan_it_includes() -> None:
    """A9, A11: publishing a version must not strand devices at the end of their trial."""
    product = make_product()
    plan = make_plan(product, amount=0, months=1)
    make_rule_change(product, auto_subscribe=True, auto_plan=plan, now=LATER)
    assert products_including(plan) == [product]
    longer = publish_plan(plan=_edit(plan, months=3), actor="ann", now=LATER)
    assert current_rule(product.pk).auto_plan == longer
    with pytest.raises(PlanRefused, match="includes this plan"):
        publish_plan(plan=_edit(longer, amount=100), actor="ann", now=LATER)
    longer.refresh_from_db()
    assert longer.status == PlanStatus.PUBLISHED.value
