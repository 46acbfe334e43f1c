"""The API's addresses, put together from the apps: /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from amp.foundation.api import pages

version_1: list[URLPattern | URLResolver] = [
    path("", include("amp.foundation.api.urls")),
    path("", include("catalog.api.urls")),
    path("", include("devices.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("alerts.api.urls")),
    path("schema/", pages.schema, name="schema"),
    path("docs/", pages.documentation, name="docs"),
    path("problems/<slug:code>", pages.meaning, name="problem"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include((version_1, "api"))),
    re_path(r"^(?P<path>.*)$", pages.nowhere),
]
