"""Addresses of the endpoints about devices, below /api/v1/."""

from __future__ import annotations

from django.urls import re_path

from amp.foundation.api.endpoints import ID
from devices.api.rules import Rules

urlpatterns = [
    re_path(rf"^products/{ID}/rule$", Rules.as_view({"get": "retrieve", "put": "update"}), name="product-rule"),
    re_path(rf"^products/{ID}/rule/preview$", Rules.as_view({"post": "preview"}), name="product-rule-preview"),
]
