"""Plans: drafted, published for good, followed by new versions, on sale for a device (E3, E4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise, Merchant, MerchantStatus
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused
from catalog.models import Plan, PlanStatus, PlanType, Product, ServiceLevel, ServiceRule
from catalog.services.included import included_plan_problem
from catalog.services.plan_problems import plan_problems
from catalog.services.rules import RuleDraft, current_rule, save_rule
from catalog.services.sales import plans_by_place

TERMS = ("merchant", "name", "amount", "currency", "months", "sale_from", "sale_until")


class PlanRefused(Refused):
    """The plan can't be saved, published or withdrawn like this; each problem names its field."""


class PlanTerms(TypedDict):
    """What may differ between versions of a plan. `amount` is in minor units of `currency`."""

    merchant: Merchant
    name: str
    amount: int
    currency: str
    months: int
    sale_from: datetime | None
    sale_until: datetime | None


@transaction.atomic
def draft_plan(
    *,
    enterprise: Enterprise,
    level: ServiceLevel,
    plan_type: PlanType | str,
    actor: str,
    now: datetime,
    **terms: Unpack[PlanTerms],
) -> Plan:
    """A first version, not yet on sale. Raises PlanRefused."""
    plan = Plan(
        enterprise=enterprise,
        level=level,
        plan_type=PlanType(plan_type).value,
        created_at=now,
        created_by=actor,
        **terms,
    )
    _refuse(plan_problems(plan))
    plan.save()
    record_about(plan, "plan.drafted", actor=actor, now=now, after=told(plan))
    return plan


@transaction.atomic
def edit_plan(*, plan: Plan, actor: str, now: datetime, **terms: Unpack[PlanTerms]) -> Plan:
    """A draft that follows `plan` with other terms; a draft that already waits is changed instead (E3).

    What is published stays as it is, and on sale, until the draft is published. Raises PlanRefused.
    """
    newest = lock_family(plan)[-1]
    draft = newest if newest.status == PlanStatus.DRAFT.value else _next_version(newest)
    return _saved_draft(draft, terms, actor, now)


@transaction.atomic
def change_draft(*, plan: Plan, actor: str, now: datetime, **terms: Unpack[PlanTerms]) -> Plan:
    """Other terms for this draft. Raises PlanRefused, also for what was published: that never changes (E3)."""
    draft = next(version for version in lock_family(plan) if version.pk == plan.pk)
    if draft.status != PlanStatus.DRAFT.value:
        raise PlanRefused.because(_("Only a draft can be changed. Make a new version of the plan instead."))
    return _saved_draft(draft, terms, actor, now)


@transaction.atomic
def draft_next_version(*, plan: Plan, actor: str, now: datetime, **terms: Unpack[PlanTerms]) -> Plan:
    """A new draft that follows the plan's versions; what is on sale stays so until the draft is published (E3).

    Raises PlanRefused, also where a draft waits already: nobody overwrites what they haven't seen (F99).
    """
    newest = lock_family(plan)[-1]
    if newest.status == PlanStatus.DRAFT.value:
        message = _("A draft of this plan waits already: version %(version)d. Change that one, or withdraw it first.")
        raise PlanRefused.because(message % {"version": newest.version})
    return _saved_draft(_next_version(newest), terms, actor, now)


def _saved_draft(draft: Plan, terms: PlanTerms, actor: str, now: datetime) -> Plan:
    before = told(draft) if draft.pk else None
    for name, value in terms.items():
        setattr(draft, name, value)
    draft.created_at, draft.created_by = now, actor
    _refuse(plan_problems(draft))
    draft.save()
    record_about(draft, "plan.drafted", actor=actor, now=now, before=before, after=told(draft))
    return draft


@transaction.atomic
def publish_plan(*, plan: Plan, actor: str, now: datetime) -> Plan:
    """Put a draft on sale and withdraw the version before it, in one step. Raises PlanRefused.

    Rules that include the version before include this one from now on; a version that can't be included (A9) is
    refused while a rule includes the plan.
    """
    family = lock_family(plan)
    draft = next(version for version in family if version.pk == plan.pk)
    if draft.status != PlanStatus.DRAFT.value:
        raise PlanRefused.because(_("Only a draft can be published. Edit the plan to make one."))
    _refuse([*plan_problems(draft), *_publishing_problems(draft, now)])
    for version in family:
        if version.status == PlanStatus.PUBLISHED.value:
            _withdraw(version, actor, now, why="followed by a new version")
    draft.status = PlanStatus.PUBLISHED.value
    draft.save(update_fields=["status"])
    record_about(draft, "plan.published", actor=actor, now=now, after=told(draft))
    _follow_in_rules(draft, actor, now)
    return draft


@transaction.atomic
def withdraw_plan(*, plan: Plan, actor: str, now: datetime) -> Plan:
    """Take a published plan off sale, or drop a draft. Orders that were made keep their price (E3)."""
    version = next(version for version in lock_family(plan) if version.pk == plan.pk)
    if version.status != PlanStatus.WITHDRAWN.value:
        _withdraw(version, actor, now)
    return version


def lock_family(plan: Plan) -> list[Plan]:
    """All versions of the plan, locked, oldest first: whoever changes one of them begins with this (F23).

    Products whose rules follow a plan are locked after it, in the order of their ids.
    """
    return list(Plan.objects.select_for_update(no_key=True).filter(family=plan.family).order_by("version"))


def plans_on_sale(*, product: Product, device_enterprise: Enterprise, now: datetime) -> list[Plan]:
    """Plans for a device of `product` owned by `device_enterprise`, shortest and cheapest first (E4).

    E4 without what depends on the single device: its state, A12 and A15. Includes plans with the price 0.
    """
    return plans_by_place([(product, device_enterprise)], now=now)[product.pk, device_enterprise.pk]


def products_including(plan: Plan) -> list[Product]:
    """Products whose rule in force gives some version of this plan for free: who is hurt by a withdrawal (A11)."""
    rules = ServiceRule.objects.filter(is_current=True, auto_subscribe=True, auto_plan__family=plan.family)
    return [rule.product for rule in rules.select_related("product").order_by("product__name")]


def told(plan: Plan) -> dict[str, Any]:
    """The plan as the record keeps it."""
    return {
        "version": plan.version,
        "status": plan.status,
        "name": plan.name,
        "merchant": plan.merchant.merchant_id,
        "amount": plan.amount,
        "currency": plan.currency,
        "months": plan.months,
        "sale_from": plan.sale_from.isoformat() if plan.sale_from else None,
        "sale_until": plan.sale_until.isoformat() if plan.sale_until else None,
    }


def _next_version(newest: Plan) -> Plan:
    top = Plan.objects.filter(family=newest.family).aggregate(top=Max("version"))["top"]
    return Plan(
        enterprise_id=newest.enterprise_id,
        family=newest.family,
        version=top + 1,
        level=newest.level,
        plan_type=newest.plan_type,
    )


def _withdraw(plan: Plan, actor: str, now: datetime, why: str = "") -> None:
    before = told(plan)
    plan.status = PlanStatus.WITHDRAWN.value
    plan.save(update_fields=["status"])
    record_about(plan, "plan.withdrawn", actor=actor, now=now, before=before, after=told(plan), why=why)


def _follow_in_rules(published: Plan, actor: str, now: datetime) -> None:
    for product in sorted(products_including(published), key=lambda each: each.pk):
        draft = RuleDraft.of(current_rule(product.pk), auto_plan=published)
        save_rule(product=product, draft=draft, actor=actor, now=now)


def _publishing_problems(plan: Plan, now: datetime) -> list[Problem]:
    problems = []
    if plan.merchant.status != MerchantStatus.VERIFIED.value:
        problems.append(Problem("merchant", _("The merchant must be verified before a plan is published.")))
    if plan.sale_until and plan.sale_until <= now:
        problems.append(Problem("sale_until", _("The sale is already over. Give a later date.")))
    return [*problems, *_inclusion_problems(plan, now)]


def _inclusion_problems(plan: Plan, now: datetime) -> list[Problem]:
    as_published = Plan(**{name: getattr(plan, name) for name in (*TERMS, "level", "plan_type", "enterprise")})
    as_published.status = PlanStatus.PUBLISHED.value
    refused = [p for p in products_including(plan) if included_plan_problem(as_published, p, now=now)]
    if not refused:
        return []
    message = _(
        "The rule of %(products)s includes this plan at the end of the trial: such a plan costs 0, is on sale and is "
        "sold by the maker's merchant. Choose another included plan there first."
    )
    return [Problem("", message % {"products": ", ".join(product.name for product in refused)})]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise PlanRefused(problems)
