"""What is wrong with a plan's terms, its seller and what it gives, each beside its field (E1, E3, F38)."""

from __future__ import annotations

from django.utils.translation import gettext as _

from amp.foundation.models import MerchantStatus
from amp.foundation.money import UnknownCurrency, minor_digits
from amp.foundation.services.enterprises import effective_merchant
from amp.foundation.services.refusals import Problem
from catalog.models import Plan, PlanType
from catalog.models.plans import MAX_AMOUNT


def plan_problems(plan: Plan) -> list[Problem]:
    """Everything that keeps the plan from being saved as a draft; empty where nothing does. Trims its name."""
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


def _is_integer(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)
