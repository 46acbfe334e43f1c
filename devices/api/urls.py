"""Addresses of the endpoints about devices, below /api/v1/."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from amp.foundation.api.endpoints import ID
from devices.api.commands import Commands
from devices.api.devices import Devices
from devices.api.rules import Rules
from devices.api.services import DeviceServices
from devices.api.validities import KIND, DeviceValidities, DeviceValidity, Validities

router = SimpleRouter(trailing_slash=False)
router.register("devices", Devices, basename="device")
router.register("device-services", DeviceServices, basename="device-service")
router.register("commands", Commands, basename="command")
ONE_VALIDITY: Any = {"get": "retrieve", "put": "update", "delete": "destroy"}

urlpatterns = [
    *router.urls,
    re_path(r"^validities$", Validities.as_view({"get": "list"}), name="validity-list"),
    re_path(rf"^devices/{ID}/validities$", DeviceValidities.as_view({"get": "retrieve"}), name="device-validities"),
    re_path(rf"^devices/{ID}/validities/{KIND}$", DeviceValidity.as_view(ONE_VALIDITY), name="device-validity"),
    re_path(
        rf"^devices/{ID}/validities/{KIND}/history$",
        DeviceValidity.as_view({"get": "history"}),
        name="device-validity-history",
    ),
    re_path(rf"^products/{ID}/rule$", Rules.as_view({"get": "retrieve", "put": "update"}), name="product-rule"),
    re_path(rf"^products/{ID}/rule/preview$", Rules.as_view({"post": "preview"}), name="product-rule-preview"),
]
