"""Addresses of the endpoints about devices, below /api/v1/."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from amp.foundation.api.endpoints import ID
from devices.api.commands import Commands
from devices.api.devices import Devices
from devices.api.rules import Rules
from devices.api.services import DeviceServices

router = SimpleRouter(trailing_slash=False)
router.register("devices", Devices, basename="device")
router.register("device-services", DeviceServices, basename="device-service")
router.register("commands", Commands, basename="command")

urlpatterns = [
    *router.urls,
    re_path(rf"^products/{ID}/rule$", Rules.as_view({"get": "retrieve", "put": "update"}), name="product-rule"),
    re_path(rf"^products/{ID}/rule/preview$", Rules.as_view({"post": "preview"}), name="product-rule-preview"),
]
