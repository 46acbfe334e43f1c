"""What is sold for which devices: E4 without what depends on the single device."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import Q

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.services.enterprises import effective_merchants
from catalog.models import Plan, PlanStatus, PlanType, Product, ServiceLevel, ServiceRule

Place = tuple[int, int]
"""(product id, id of the device's enterprise)"""


def plans_by_place(places: Collection[tuple[Product, Enterprise]], *, now: datetime) -> dict[Place, list[Plan]]:
    """Plans on sale for devices of each product that each enterprise owns, shortest and cheapest first (E4).

    Four queries, however many places; products come with their enterprise. Devices' own states, A12 and A15 aside.
    """
    sold: dict[Place, list[Plan]] = {(product.pk, owner.pk): [] for product, owner in places}
    paid = set(_with_paid_mode(product.pk for product, _owner in places))
    wanted = [(product, owner) for product, owner in places if product.pk in paid]
    if not wanted:
        return sold
    merchants = effective_merchants({each.pk: each for place in wanted for each in _sides(place)}.values())
    offered = _offered_levels(paid)
    plans = _on_sale({merchant.pk for merchant in merchants.values()}, {level for level, _product in offered}, now)
    for product, owner in wanted:
        sold[product.pk, owner.pk] = [
            plan
            for plan in plans
            if (plan.level_id, product.pk) in offered and _sells_to(plan, product, owner, merchants)
        ]
    return sold


def _sides(place: tuple[Product, Enterprise]) -> tuple[Enterprise, Enterprise]:
    product, owner = place
    return product.enterprise, owner


def _with_paid_mode(product_ids: Iterable[int]) -> list[int]:
    rules = ServiceRule.objects.filter(product_id__in=set(product_ids), is_current=True, paid_mode=True)
    return list(rules.values_list("product_id", flat=True))


def _offered_levels(product_ids: set[int]) -> set[tuple[int, int]]:
    """(level, product) of each level that is offered for one of the products."""
    offers = ServiceLevel.products.through.objects.filter(product_id__in=product_ids)
    return set(offers.values_list("servicelevel_id", "product_id"))


def _on_sale(merchant_ids: set[int], level_ids: set[int], now: datetime) -> list[Plan]:
    plans = (
        Plan.objects.filter(status=PlanStatus.PUBLISHED.value, merchant_id__in=merchant_ids, level_id__in=level_ids)
        .filter(Q(sale_from=None) | Q(sale_from__lte=now), Q(sale_until=None) | Q(sale_until__gt=now))
        .select_related("merchant", "level")
    )
    return list(plans.order_by("months", "amount", "name", "id"))


def _sells_to(plan: Plan, product: Product, owner: Enterprise, merchants: dict[int, Merchant]) -> bool:
    """Who may sell to this device: the maker's merchant, and the merchant of the device's enterprise (E4).

    Siblings share their parent's merchant, so a reseller plan must also belong to the device's own line (E1).
    """
    if plan.plan_type == PlanType.MANUFACTURER.value:
        maker = merchants.get(product.enterprise_id)
        return maker is not None and plan.merchant_id == maker.pk
    reseller = merchants.get(owner.pk)
    in_line = plan.enterprise_id in {*owner.ancestor_ids, owner.pk}
    return reseller is not None and plan.merchant_id == reseller.pk and in_line
