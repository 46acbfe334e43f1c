"""What another merchant means for what is sold: told before the button (E1, E2, E4). Changes nothing."""

from __future__ import annotations

from typing import NamedTuple

from amp.foundation.bulk import among
from amp.foundation.models import Enterprise, Merchant, MerchantStatus
from amp.foundation.services.enterprises import effective_merchant
from catalog.models import Plan, PlanStatus, Product


class MerchantConsequences(NamedTuple):
    """What follows once a merchant of the enterprise is in force.

    `enterprises` sell through it: the enterprise itself and those below without a merchant of their own (E1);
    `products` are theirs. `plans` are on sale there now and name the merchant that is in force until then: they can't
    be sold any more until a new version names the new one (E3, E4).
    """

    before: Merchant | None
    enterprises: int
    products: int
    plans: int


def merchant_consequences(*, enterprise: Enterprise) -> MerchantConsequences:
    """Who is paid through another merchant once it changes; five queries, whatever the size of the tree."""
    before = effective_merchant(enterprise)
    ids = _selling_through(enterprise)
    plans = Plan.objects.filter(among("enterprise_id", ids), status=PlanStatus.PUBLISHED.value, merchant=before)
    return MerchantConsequences(
        before=before,
        enterprises=len(ids),
        products=Product.objects.filter(among("enterprise_id", ids)).count(),
        plans=plans.count() if before else 0,
    )


def _selling_through(enterprise: Enterprise) -> list[int]:
    """Ids of the enterprise and of those below for which it is the nearest with a merchant (E1)."""
    own = Merchant.objects.filter(
        enterprise__path__startswith=enterprise.path, status=MerchantStatus.VERIFIED.value
    ).exclude(enterprise=enterprise)
    apart = tuple(own.values_list("enterprise__path", flat=True))
    rows = Enterprise.objects.within(enterprise).values_list("pk", "path")
    return [pk for pk, path in rows if not (apart and path.startswith(apart))]
