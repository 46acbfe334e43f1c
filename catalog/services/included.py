"""The plan that auto-subscription gives at the end of a trial: which plans qualify (A9)."""

from __future__ import annotations

from datetime import datetime

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


def included_plan_problem(plan: Plan, product: Product, *, now: datetime) -> str | None:
    """Why `plan` can't be given for free with `product`, as a sentence; None where it can (A9)."""
    merchant = plan.merchant
    if merchant.enterprise_id != product.enterprise_id or merchant.status != MerchantStatus.VERIFIED.value:
        return _("Choose a plan that is sold by the merchant of the product's own enterprise.")
    if plan.plan_type != PlanType.MANUFACTURER.value:
        return _("Choose a manufacturer enterprise plan, not a reseller plan.")
    if plan.amount != 0:
        return _("Choose a plan with the price 0: an included plan is never charged.")
    if plan.status != PlanStatus.PUBLISHED.value or not is_on_sale(plan, now):
        return _("Choose a plan that is published and on sale.")
    if not plan.level.products.filter(pk=product.pk).exists():
        return _("Choose a plan whose service level is offered for this product.")
    return None


def is_on_sale(plan: Plan, now: datetime) -> bool:
    """Whether `now` lies in the plan's sale dates, `[from, until)`."""
    return (plan.sale_from is None or plan.sale_from <= now) and (plan.sale_until is None or now < plan.sale_until)
