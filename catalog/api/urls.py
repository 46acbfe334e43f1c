"""Addresses of the catalogue's endpoints, below /api/v1/."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from catalog.api.plans import Plans
from catalog.api.products import Products

router = SimpleRouter(trailing_slash=False)
router.register("products", Products, basename="product")
router.register("plans", Plans, basename="plan")
urlpatterns = router.urls
