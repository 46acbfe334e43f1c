"""Addresses of the alerts' endpoints, below /api/v1/."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from alerts.api.webhooks import Deliveries, Webhooks

router = SimpleRouter(trailing_slash=False)
router.register("webhooks", Webhooks, basename="webhook")
router.register("webhook-deliveries", Deliveries, basename="webhook-delivery")
urlpatterns = router.urls
