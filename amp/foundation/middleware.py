"""Every request runs in the scope of its user (R6); without one, tenant tables answer with an error, not with rows."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.utils import timezone

from amp.foundation.access import reading_zone, user_scope
from amp.foundation.scoping import enterprise_scope


class EnterpriseScopeMiddleware:
    """Opens the user's scope around the view and the rendering of its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Anonymous visitors get an empty scope; the public page opens its own for one device."""
        if "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponseBadRequest("Bad request: a NUL in the query.", content_type="text/plain")
        user = request.user
        if not user.is_authenticated:
            with enterprise_scope([]):
                return self.get_response(request)
        structlog.contextvars.bind_contextvars(actor=f"user:{user.pk}")  # no address: logs hold no personal data
        with user_scope(user), timezone.override(reading_zone(user)):
            return self.get_response(request)


class PossibleSessionMiddleware:
    """Forgets a session that can't be. Right after the sessions': whoever asks for the user reads the session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """A cookie can spell a NUL, which PostgreSQL takes for an error in the query, not for an unknown session."""
        if "\0" in (request.session.session_key or ""):
            request.session = type(request.session)()
        return self.get_response(request)
