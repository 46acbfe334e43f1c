"""What the pages of the admin share: their frame, the permission check, and how a refusal looks.

Pages come from `admin_views` of the apps; each reads a clock, checks a permission here and calls one service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from amp.foundation.access import Action, may, may_anywhere
from amp.foundation.models import Enterprise, User
from amp.foundation.services.refusals import Refused

P = ParamSpec("P")
M = TypeVar("M", bound=Model)
Answered = TypeVar("Answered", bound=HttpResponseBase)
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
Crumb = tuple[Any, str]
"""A step above the page: its title and address."""


def signed_in(request: HttpRequest) -> User:
    """The user of a page that only signed-in people reach."""
    return cast(User, request.user)


def actor(request: HttpRequest) -> str:
    """Who a record names for what this request does."""
    return signed_in(request).email


def needs(action: Action) -> Callable[[View[P]], View[P]]:
    """Refuse the page (403) to users none of whose roles includes `action`; which rows is decided by `ensure`."""

    def wrap(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not may_anywhere(signed_in(request), action):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return wrap


def ensure(request: HttpRequest, action: Action, enterprise: Enterprise) -> None:
    """Refuse (403) what the user's roles don't include for this enterprise."""
    if not may(signed_in(request), action, enterprise):
        raise PermissionDenied


def found(rows: QuerySet[M], pk: int) -> M:
    """The row within the user's scope; another tenant's answers exactly as a missing one (404)."""
    return get_object_or_404(rows, pk=pk)


def page(
    request: HttpRequest, template: str, title: Any, *, crumbs: Iterable[Crumb] = (), status: int = 200, **context: Any
) -> TemplateResponse:
    """A page in the admin's frame."""
    request.current_app = admin.site.name
    frame = admin.site.each_context(request)
    return TemplateResponse(
        request, template, {**frame, "title": title, "crumbs": list(crumbs), **context}, status=status
    )


def show(form: forms.BaseForm, refused: Refused) -> None:
    """Put each reason of a refusal beside its field, what belongs to no field on top; the input stays."""
    for problem in refused.problems:
        form.add_error(problem.field if problem.field in form.fields else None, problem.message)


def refuse(request: HttpRequest, refusal: Exception) -> None:
    """Tell the user, on the next page, why a service refused."""
    messages.error(request, str(refusal))


def done(request: HttpRequest, sentence: Any) -> None:
    """Tell the user, on the next page, what was done."""
    messages.success(request, str(sentence))


def private(response: Answered) -> Answered:
    """Mark a page that shows a secret once: no cache keeps it."""
    response["Cache-Control"] = "no-store"
    return response
