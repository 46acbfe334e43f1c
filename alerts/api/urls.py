"""Addresses of the endpoints about alerts, below /api/v1/."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from alerts.api.notices import Notices

router = SimpleRouter(trailing_slash=False)
router.register("notices", Notices, basename="notice")

urlpatterns = router.urls
