"""Plans: drafted, published for good, followed by new versions, on sale for a device (E3, E4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise, Merchant, MerchantStatus
from amp.foundation.money import UnknownCurrency, minor_digits
from amp.foundation.services.enterprises import effective_merchant
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Problem, Refused
from catalog.models import Plan, PlanStatus, PlanType, Product, ServiceLevel, ServiceRule
from catalog.models.plans import MAX_AMOUNT
from catalog.services.included import included_plan_problem
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
    _refuse(_problems(plan))
    plan.save()
    _record(plan, "plan.drafted", actor, now, after=told(plan))
    return plan


@transaction.atomic
def edit_plan(*, plan: Plan, actor: str, now: datetime, **terms: Unpack[PlanTerms]) -> Plan:
    """A draft that follows `plan` with other terms; a draft that already waits is changed instead (E3).

    What is published stays as it is, and on sale, until the draft is published. Raises PlanRefused.
    """
    newest = _locked_family(plan)[-1]
    draft = newest if newest.status == PlanStatus.DRAFT.value else _next_version(newest)
    before = told(draft) if draft.pk else None
    for name, value in terms.items():
        setattr(draft, name, value)
    draft.created_at, draft.created_by = now, actor
    _refuse(_problems(draft))
    draft.save()
    _record(draft, "plan.drafted", actor, now, before=before, after=told(draft))
    return draft


@transaction.atomic
def publish_plan(*, plan: Plan, actor: str, now: datetime) -> Plan:
    """Put a draft on sale and withdraw the version before it, in one step. Raises PlanRefused.

    Rules that include the version before include this one from now on; a version that can't be included (A9) is
    refused while a rule includes the plan.
    """
    family = _locked_family(plan)
    draft = next(version for version in family if version.pk == plan.pk)
    if draft.status != PlanStatus.DRAFT.value:
        raise PlanRefused.because(_("Only a draft can be published. Edit the plan to make one."))
    _refuse([*_problems(draft), *_publishing_problems(draft, now)])
    for version in family:
        if version.status == PlanStatus.PUBLISHED.value:
            _withdraw(version, actor, now, why="followed by a new version")
    draft.status = PlanStatus.PUBLISHED.value
    draft.save(update_fields=["status"])
    _record(draft, "plan.published", actor, now, after=told(draft))
    _follow_in_rules(draft, actor, now)
    return draft


@transaction.atomic
def withdraw_plan(*, plan: Plan, actor: str, now: datetime) -> Plan:
    """Take a published plan off sale, or drop a draft. Orders that were made keep their price (E3)."""
    version = next(version for version in _locked_family(plan) if version.pk == plan.pk)
    if version.status != PlanStatus.WITHDRAWN.value:
        _withdraw(version, actor, now)
    return version


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


def _locked_family(plan: Plan) -> list[Plan]:
    """All versions, oldest first, locked."""
    return list(Plan.objects.select_for_update(no_key=True).filter(family=plan.family).order_by("version"))


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
    _record(plan, "plan.withdrawn", actor, now, before=before, after=told(plan), why=why)


def _follow_in_rules(published: Plan, actor: str, now: datetime) -> None:
    for product in products_including(published):
        draft = RuleDraft.of(current_rule(product.pk), auto_plan=published)
        save_rule(product=product, draft=draft, actor=actor, now=now)


def _problems(plan: Plan) -> list[Problem]:
    return [*_price_problems(plan), *_name_and_date_problems(plan), *_seller_problems(plan), *_level_problems(plan)]


def _price_problems(plan: Plan) -> list[Problem]:
    problems = []
    if not _is_integer(plan.amount) or not 0 <= plan.amount <= MAX_AMOUNT:
        problems.append(Problem("amount", _("The price is 0 to 10,000,000,000.00. Type it in digits.")))
    try:
        minor_digits(plan.currency)
    except UnknownCurrency as unknown:
        problems.append(Problem("currency", str(unknown)))
    if not _is_integer(plan.months) or not 1 <= plan.months <= 120:
        problems.append(Problem("months", _("The period is 1 to 120 months.")))
    return problems


def _name_and_date_problems(plan: Plan) -> list[Problem]:
    plan.name = plan.name.strip()
    problems = []
    if not 1 <= len(plan.name) <= 80:
        problems.append(Problem("name", _("Give a name of 1 to 80 characters.")))
    if plan.sale_from and plan.sale_until and plan.sale_from >= plan.sale_until:
        problems.append(Problem("sale_until", _("The sale must end after it starts. Give a later date.")))
    return problems


def _seller_problems(plan: Plan) -> list[Problem]:
    """E1, E3: the enterprise's own merchant, or the one it sells through."""
    merchant = plan.merchant
    if merchant.status == MerchantStatus.RETIRED.value:
        return [Problem("merchant", _("This merchant was replaced. Choose the one that is in force."))]
    if merchant.enterprise_id == plan.enterprise_id or merchant == effective_merchant(plan.enterprise):
        return []
    return [Problem("merchant", _("Choose the merchant of the plan's enterprise, or the one it sells through."))]


def _level_problems(plan: Plan) -> list[Problem]:
    enterprise = plan.enterprise
    if plan.plan_type == PlanType.MANUFACTURER.value:
        known = plan.level.enterprise_id == enterprise.pk
    else:
        known = plan.level.enterprise_id in {*enterprise.ancestor_ids, enterprise.pk}
    return [] if known else [Problem("level", _("Choose a service level of the plan's own enterprise."))]


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


def _is_integer(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise PlanRefused(problems)


def _record(
    plan: Plan,
    kind: str,
    actor: str,
    now: datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    why: str = "",
) -> None:
    subject = f"plan:{plan.pk}"
    record_event(EventDraft(kind, subject, plan.enterprise_id, now, actor, why, before, after), now=now)
