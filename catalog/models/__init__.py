"""Tables of the catalogue: `products` (with thing models), `rules`, `plans` (with service levels)."""

from catalog.models.plans import Plan, PlanStatus, PlanType, ServiceLevel
from catalog.models.products import Product, ThingModel
from catalog.models.rules import ServiceRule

__all__ = ["Plan", "PlanStatus", "PlanType", "Product", "ServiceLevel", "ServiceRule", "ThingModel"]
