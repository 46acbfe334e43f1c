"""Nobody is half signed in: without the second factor that an account has or needs, a session is nobody's (X1)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from amp.foundation.access import must_use_totp
from amp.foundation.models import User


class SecondFactorMiddleware:
    """Leads to the code, or to enrolment, and takes the user off every other request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Which rights a session has is asked anew at each request: a new role or a reset takes effect at once."""
        step = missing_step(request)
        if step is None or request.path in _open_addresses():
            return self.get_response(request)
        if request.path.startswith(reverse("admin:index")):
            return HttpResponseRedirect(f"{reverse(step)}?{urlencode({'next': request.get_full_path()})}")
        request.user = AnonymousUser()
        return self.get_response(request)


def missing_step(request: HttpRequest) -> str | None:
    """Name of the page where the sign-in goes on; None where it is complete, or has not begun."""
    user = request.user
    if not isinstance(user, User) or user.is_verified():  # type: ignore[attr-defined]
        return None
    if user.uses_totp:
        return "accounts:code"
    return "accounts:enrol" if must_use_totp(user) else None


def _open_addresses() -> set[str]:
    return {reverse(name) for name in ("accounts:code", "accounts:enrol", "admin:logout", "admin:jsi18n")}
