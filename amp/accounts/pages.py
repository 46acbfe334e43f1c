"""The frame of the pages around signing in: the theme's, without navigation."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse


def signing_page(
    request: HttpRequest, template: str, title: str, *, status: int = 200, **context: Any
) -> TemplateResponse:
    """A page for somebody who is on the way in; it may show a secret, so no cache keeps it."""
    request.current_app = admin.site.name
    frame = {**admin.site.each_context(request), "title": title, **context}
    response = TemplateResponse(request, template, frame, status=status)
    response["Cache-Control"] = "no-store"
    return response
