"""Addresses of the foundation's endpoints, below /api/v1/."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from amp.foundation.api.enterprises import Enterprises
from amp.foundation.api.me import Me

router = SimpleRouter(trailing_slash=False)
router.register("enterprises", Enterprises, basename="enterprise")
urlpatterns = [path("me", Me.as_view({"get": "retrieve"}), name="me"), *router.urls]
