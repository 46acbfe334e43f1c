"""The plan that auto-subscription gives at the end of a trial: which plans qualify (A9)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext as _

from amp.foundation.models import MerchantStatus
from catalog.models import Plan, PlanStatus, PlanType, Product


def included_plans(product: Product, *, now: datetime) -> list[Plan]:
    """Plans that may be chosen for auto-subscription of `product`, cheapest to read first."""
    candidates = Plan.objects.filter(
        merchant__enterprise_id=product.enterprise_id,
        merchant__status=MerchantStatus.VERIFIED.value,
        plan_type=PlanType.MANUFACTURER.value,
        status=PlanStatus.PUBLISHED.value,
        amount=0,
        level__products=product,
    )
    return [plan for plan in candidates.order_by("months", "name") if is_on_sale(plan, now)]


class Unfit(StrEnum):
    """Why a plan can't be given for free (A9). The values are stable: events and pages know them."""

    MERCHANT_GONE = "included_plan_merchant_gone"
    WRONG_TYPE = "included_plan_wrong_type"
    NOT_FREE = "included_plan_not_free"
    WITHDRAWN = "included_plan_withdrawn"


def included_plan_refusal(plan: Plan, *, maker_id: int, now: datetime) -> Unfit | None:
    """Why auto-subscription of a product of the enterprise `maker_id` can't give `plan` at `now`; None where it can.

    Asked when the rule is saved, and again for each trial that ends (A9, F43). No query where the merchant is loaded.
    """
    merchant = plan.merchant
    if merchant.enterprise_id != maker_id or merchant.status != MerchantStatus.VERIFIED.value:
        return Unfit.MERCHANT_GONE
    if plan.plan_type != PlanType.MANUFACTURER.value:
        return Unfit.WRONG_TYPE
    if plan.amount != 0:
        return Unfit.NOT_FREE
    return None if is_on_sale(plan, now) else Unfit.WITHDRAWN


def included_plan_problem(plan: Plan, product: Product, *, now: datetime) -> str | None:
    """Why `plan` can't be chosen to be given for free with `product`, as a sentence; None where it can (A9)."""
    match included_plan_refusal(plan, maker_id=product.enterprise_id, now=now):
        case Unfit.MERCHANT_GONE:
            return _("Choose a plan that is sold by the merchant of the product's own enterprise.")
        case Unfit.WRONG_TYPE:
            return _("Choose a manufacturer enterprise plan, not a reseller plan.")
        case Unfit.NOT_FREE:
            return _("Choose a plan with the price 0: an included plan is never charged.")
        case Unfit.WITHDRAWN:
            return _("Choose a plan that is published and on sale.")
    if not plan.level.products.filter(pk=product.pk).exists():
        return _("Choose a plan whose service level is offered for this product.")
    return None


def is_on_sale(plan: Plan, now: datetime) -> bool:
    """Whether the plan is published and `now` lies in its sale dates, `[from, until)` (E3)."""
    if plan.status != PlanStatus.PUBLISHED.value:
        return False
    return (plan.sale_from is None or plan.sale_from <= now) and (plan.sale_until is None or now < plan.sale_until)
