"""Addresses of the alerts' endpoints, below /api/v1/."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from alerts.api.notices import Notices
from alerts.api.webhooks import Deliveries, Webhooks

router = SimpleRouter(trailing_slash=False)
router.register("notices", Notices, basename="notice")
router.register("webhooks", Webhooks, basename="webhook")
router.register("webhook-deliveries", Deliveries, basename="webhook-delivery")
urlpatterns = router.urls
