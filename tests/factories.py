"""Enterprises, products, plans and devices for tests, built through the services that make them in the product.

All of them need a scope: run them in `system_scope()`. `NOW` is when everything is made unless a test says otherwise.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import factory

from amp.foundation.models import Enterprise, Merchant, Role, User
from amp.foundation.services.enterprises import create_enterprise, effective_merchant, set_merchant
from amp.foundation.services.members import add_member
from catalog.models import Plan, PlanType, Product, ServiceLevel
from catalog.services.plans import draft_plan, publish_plan
from catalog.services.products import create_product, import_thing_model
from catalog.services.rules import RuleDraft, current_rule
from devices.services.registration import Registered, register_device
from devices.services.replanning import change_rule

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = 3_600
PASSWORD = "correct horse battery"
LOCK = [{"code": "service_lock", "value": "true"}]
UNLOCK = [{"code": "service_lock", "value": "false"}]
_number = count(1)


def standard_tsl(**changes: Any) -> dict[str, Any]:
    """A thing model with a writable lock (id 1), a number, a read-only number and the notice of expiry (N7)."""
    return {**STANDARD_TSL, **changes}


def _property(number: int, code: str, access: str, data_type: str, specs: Any) -> dict[str, Any]:
    return {
        "id": number,
        "code": code,
        "name": code.replace("_", " ").capitalize(),
        "type": "PROPERTY",
        "subType": access,
        "dataType": data_type,
        "specs": specs,
    }


def _number_specs(low: int, high: int, unit: str = "") -> dict[str, str]:
    return {"unit": unit, "min": str(low), "max": str(high), "step": "1"}


STANDARD_TSL: dict[str, Any] = {
    "profile": {"productKey": "p1", "version": "1.0.0", "tslVersion": "1.0.0"},
    "properties": [
        _property(
            1,
            "service_lock",
            "RW",
            "BOOL",
            [
                {"dataType": "BOOL", "name": "Locked", "value": "true"},
                {"dataType": "BOOL", "name": "Open", "value": "false"},
            ],
        ),
        _property(2, "report_interval", "RW", "INT", _number_specs(1, 3_600, "s")),
        _property(3, "battery", "R", "INT", _number_specs(0, 100, "%")),
        _property(
            4,
            "q_retain_device_sevice_notice",
            "RW",
            "STRUCT",
            [
                _property(1, "serviceName", "RW", "INT", _number_specs(1, 3)),
                _property(2, "serviceStatus", "RW", "INT", _number_specs(1, 3)),
            ],
        ),
    ],
    "events": [],
    "services": [],
}


class UserFactory(factory.django.DjangoModelFactory[User]):
    """Somebody who can sign in with PASSWORD, without any membership."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda number: f"person{number}@example.com")
    full_name = factory.Sequence(lambda number: f"Person {number}")
    password = factory.django.Password(PASSWORD)
    created_at = NOW


def make_enterprise(
    name: str | None = None,
    *,
    parent: Enterprise | None = None,
    merchant: bool = True,
    time_zone: str = "Asia/Shanghai",
    currency: str = "CNY",
    now: datetime = NOW,
) -> Enterprise:
    """An enterprise, by default with a verified merchant."""
    enterprise = create_enterprise(
        name=name or f"Enterprise {next(_number)}",
        parent=parent,
        time_zone=time_zone,
        currency=currency,
        actor="test",
        now=now,
    )
    if merchant:
        make_merchant(enterprise, now=now)
    return enterprise


def make_merchant(enterprise: Enterprise, *, user: User | None = None, now: datetime = NOW) -> Merchant:
    """The enterprise's first merchant: verified at once (E2). A draft where it has one already."""
    return set_merchant(
        enterprise=enterprise,
        name=f"{enterprise.name} Ltd",
        merchant_id=f"M{next(_number):09d}",
        user=user or UserFactory(),
        now=now,
    )


def make_member(
    enterprise: Enterprise, role: Role = Role.ENTERPRISE_ADMINISTRATOR, *, email: str | None = None
) -> User:
    """A new member of the enterprise who signs in with PASSWORD."""
    return add_member(
        user_email=email or f"member{next(_number)}@example.com",
        full_name="Member",
        password=PASSWORD,
        enterprise=enterprise,
        role=role,
        actor="test",
        now=NOW,
    )


def make_product(
    enterprise: Enterprise | None = None,
    *,
    paid: bool = True,
    trial_start: int = HOUR,
    trial_end: int = 2 * HOUR,
    tsl: dict[str, Any] | None = None,
    now: datetime = NOW,
    key: str | None = None,
    name: str | None = None,
    **rule: Any,
) -> Product:
    """A product with a thing model and a rule with lock and unlock; thresholds in seconds of online time.

    `rule` sets other fields of RuleDraft, such as `cache_seconds` or `renewal_before_trial_end`.
    """
    product = create_product(
        enterprise=enterprise or make_enterprise(now=now),
        name=name or f"Product {next(_number)}",
        key=key,
        actor="test",
        now=now,
    )
    import_thing_model(product=product, text=json.dumps(tsl or STANDARD_TSL), actor="test", now=now)
    settings = {"lock_action": LOCK, "unlock_action": UNLOCK, **rule}
    draft = RuleDraft(paid_mode=paid, trial_start_seconds=trial_start, trial_end_seconds=trial_end, **settings)
    change_rule(product=product, draft=draft, actor="test", now=now)
    return product


def make_rule_change(product: Product, *, now: datetime = NOW, unlock: bool = True, **changes: Any) -> Any:
    """Change some fields of the rule in force, as its page does."""
    draft = RuleDraft.of(current_rule(product.pk), **changes)
    return change_rule(product=product, draft=draft, unlock=unlock, actor="test", now=now)


def make_plan(
    product: Product | None = None,
    *,
    months: int = 12,
    amount: int = 19_900,
    published: bool = True,
    enterprise: Enterprise | None = None,
    plan_type: PlanType = PlanType.MANUFACTURER,
    name: str | None = None,
    now: datetime = NOW,
    **terms: Any,
) -> Plan:
    """A plan of the standard level, sold by the effective merchant of `enterprise` (by default the maker)."""
    product = product or make_product(now=now)
    seller = enterprise or product.enterprise
    settings = {
        "merchant": effective_merchant(seller),
        "currency": seller.currency,
        "sale_from": None,
        "sale_until": None,
        **terms,
    }
    plan = draft_plan(
        enterprise=seller,
        level=ServiceLevel.objects.get(standard_of=product),
        plan_type=plan_type,
        name=name or f"{months} months",
        amount=amount,
        months=months,
        actor="test",
        now=now,
        **settings,
    )
    return publish_plan(plan=plan, actor="test", now=now) if published else plan


def make_device(
    product: Product | None = None,
    *,
    enterprise: Enterprise | None = None,
    key: str | None = None,
    now: datetime = NOW,
    **details: str,
) -> Registered:
    """A registered device with its password and renewal token; PENDING and offline."""
    product = product or make_product(now=now)
    return register_device(
        product=product,
        enterprise=enterprise or product.enterprise,
        key=key or f"dev{next(_number):06d}",
        actor="test",
        now=now,
        **details,
    )
