"""The device service rule: its bounds, its versions, and since when they hold (A1–A5, A9, A19, A20)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.models import PlanType, ServiceRule
from catalog.services.plans import withdraw_plan
from catalog.services.products import create_product
from catalog.services.rules import RuleDraft, RuleRefused, check_rule, current_rule, current_rules, save_rule
from tests.factories import LOCK, NOW, UNLOCK, make_enterprise, make_plan, make_product

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def _fields(product, **changes: Any) -> list[str]:
    draft = RuleDraft.of(current_rule(product.pk), **changes)
    return [problem.field for problem in check_rule(product, draft, NOW)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trial_start_seconds": -1}, "trial_start_seconds"),
        ({"trial_start_seconds": 600, "trial_end_seconds": 600}, "trial_end_seconds"),
        ({"trial_start_seconds": 601, "trial_end_seconds": 600}, "trial_end_seconds"),
        ({"trial_start_seconds": 0, "trial_end_seconds": 0}, "trial_end_seconds"),
        ({"trial_end_seconds": 10**12}, "trial_end_seconds"),
        ({"cache_seconds": -1}, "cache_seconds"),
        ({"cache_seconds": 90 * 86_400 + 1}, "cache_seconds"),
        ({"heartbeat_seconds": 0}, "heartbeat_seconds"),
        ({"lock_action": []}, "lock_action"),
        ({"unlock_action": []}, "unlock_action"),
        ({"lock_action": [{"code": "nothing", "value": "1"}]}, "lock_action"),
        ({"lock_action": [{"code": "battery", "value": "1"}]}, "lock_action"),
        ({"lock_action": [{"code": "service_lock", "value": "7"}]}, "lock_action"),
        ({"lock_action": UNLOCK}, "unlock_action"),
        ({"auto_subscribe": True}, "auto_plan"),
    ],
)
def test_a_rule_outside_its_bounds_names_the_field(changes: dict[str, Any], field: str) -> None:
    """A3, A19, A20."""
    product = make_product()
    assert field in _fields(product, **changes)
    with pytest.raises(RuleRefused):
        save_rule(product=product, draft=RuleDraft.of(current_rule(product.pk), **changes), actor="ann", now=LATER)
    assert current_rule(product.pk).version == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"trial_start_seconds": 0, "trial_end_seconds": 1},
        {"cache_seconds": 0},
        {"cache_seconds": 90 * 86_400},
        {"heartbeat_seconds": 60},
        {"lock_action": [*LOCK, {"code": "report_interval", "value": "60"}],
         "unlock_action": [*UNLOCK, {"code": "report_interval", "value": "60"}]},
    ],
)  # fmt: skip
def test_a_rule_on_its_bounds_is_accepted(changes: dict[str, Any]) -> None:
    assert _fields(make_product(), **changes) == []


def test_paid_mode_needs_a_thing_model_and_actions() -> None:
    bare = create_product(enterprise=make_enterprise(), name="Bare", actor="test", now=NOW)
    assert _fields(bare) == []
    assert _fields(bare, paid_mode=True) == ["lock_action"]
    assert _fields(make_product(paid=False, lock_action=[], unlock_action=[]), paid_mode=True) == [
        "lock_action",
        "unlock_action",
    ]


def test_auto_subscription_takes_only_free_manufacturer_plans_of_the_makers_merchant() -> None:
    """A9."""
    product = make_product()
    free = make_plan(product, amount=0)
    assert _fields(product, auto_subscribe=True, auto_plan=free) == []
    child = make_enterprise(parent=product.enterprise)
    wrong = [
        make_plan(product, amount=1),
        make_plan(product, amount=0, published=False),
        make_plan(product, amount=0, sale_from=LATER),
        make_plan(product, amount=0, enterprise=child, plan_type=PlanType.RESELLER),
        make_plan(make_product(product.enterprise), amount=0),
        withdraw_plan(plan=make_plan(product, amount=0), actor="test", now=NOW),
    ]
    assert [_fields(product, auto_subscribe=True, auto_plan=plan) for plan in wrong] == [["auto_plan"]] * len(wrong)


def test_a_change_is_a_new_version_and_the_same_rule_again_is_not() -> None:
    """A5: versions are kept, for commands name theirs."""
    product = make_product()
    for _ in range(2):
        save_rule(
            product=product, draft=RuleDraft.of(current_rule(product.pk), cache_seconds=0), actor="ann", now=LATER
        )
    assert current_rule(product.pk).version == 3
    assert list(ServiceRule.objects.filter(product=product, is_current=True).values_list("version", flat=True)) == [3]
    event = Event.objects.filter(kind="rule.saved", subject=f"product:{product.pk}").latest("id")
    assert (event.before["cache_seconds"], event.after["cache_seconds"], event.actor) == (604_800, 0, "ann")


def test_a_rule_that_somebody_else_changed_meanwhile_is_refused() -> None:
    product = make_product()
    shown = current_rule(product.pk)
    save_rule(product=product, draft=RuleDraft.of(shown, cache_seconds=1), actor="ann", now=LATER)
    with pytest.raises(RuleRefused, match="changed this rule meanwhile"):
        save_rule(
            product=product, draft=RuleDraft.of(shown, cache_seconds=2), actor="ben", now=LATER, based_on=shown.version
        )
    assert current_rule(product.pk).cache_seconds == 1


def test_paid_mode_since_is_kept_while_it_stays_on_and_begins_anew_after_a_pause() -> None:
    """A4."""
    product = make_product()
    moments = [NOW + timedelta(days=day) for day in range(1, 4)]
    for changes, now in zip(({"cache_seconds": 5}, {"paid_mode": False}, {"paid_mode": True}), moments, strict=True):
        save_rule(product=product, draft=RuleDraft.of(current_rule(product.pk), **changes), actor="ann", now=now)
    since = dict(ServiceRule.objects.filter(product=product).values_list("version", "paid_mode_since"))
    assert since == {1: None, 2: NOW, 3: NOW, 4: None, 5: moments[2]}


def test_thresholds_since_moves_with_the_thresholds_and_with_switching_on_only() -> None:
    product = make_product()
    steps = ({"cache_seconds": 5}, {"trial_end_seconds": 9_999}, {"paid_mode": False}, {"paid_mode": True})
    moments = [NOW + timedelta(days=day) for day in range(1, 5)]
    for changes, now in zip(steps, moments, strict=True):
        save_rule(product=product, draft=RuleDraft.of(current_rule(product.pk), **changes), actor="ann", now=now)
    since = dict(ServiceRule.objects.filter(product=product).values_list("version", "thresholds_since"))
    assert (since[3], since[4], since[6]) == (NOW, moments[1], moments[3])


def test_the_rules_in_force_of_many_products_come_in_one_query(django_assert_num_queries) -> None:
    products = [make_product() for _ in range(3)]
    with django_assert_num_queries(1):
        rules = current_rules(product.pk for product in products)
    assert {rule.product_id: rule.version for rule in rules.values()} == {product.pk: 2 for product in products}


@pytest.mark.parametrize(
    "wrong",
    [
        {"trial_start_seconds": 5, "trial_end_seconds": 5},
        {"cache_seconds": 90 * 86_400 + 1},
        {"auto_subscribe": True},
        {"paid_mode": True},
        {"is_current": True},
    ],
)
def test_the_database_itself_refuses_a_wrong_rule(wrong: dict[str, Any]) -> None:
    product = make_product()
    right = {"product": product, "enterprise": product.enterprise, "thresholds_since": NOW, "created_at": NOW}
    ServiceRule.objects.create(version=8, is_current=False, **right)
    with pytest.raises(IntegrityError), transaction.atomic():
        ServiceRule.objects.create(**{"version": 9, "is_current": False, **right, **wrong})
