"""How every answer of the public page is given: for one live link, in its language, private, and not too often."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from amp.foundation import clock
from amp.foundation.models import Enterprise
from amp.foundation.scoping import enterprise_scope
from amp.public.throttle import is_too_fast
from billing.models import PaymentLink
from billing.services.links import link_for_token
from devices.models import Device
from devices.services.tokens import device_for_token

P = ParamSpec("P")
Holder = TypeVar("Holder")
LANGUAGES = {"en": "English", "zh-hans": "中文"}
LANGUAGE = "lang"
"""The switch on the page; without it the browser's language counts."""


def for_link(
    *methods: str, name: str = "public", limit: int = 120
) -> Callable[[Callable[Concatenate[HttpRequest, Device, str, P], HttpResponse]], Callable[..., HttpResponse]]:
    """A view of one live link, in the scope of the device's enterprise alone; at most `limit` a minute and address.

    There is no cookie and no session: the link itself is the permission, so a form needs no CSRF token. It could not
    carry one: a page that sends no referrer posts with `Origin: null`, which the CSRF check refuses.
    """
    return _for_holder(device_for_token, lambda device: device.enterprise, unknown_link, methods, name, limit)


def for_payment(
    *methods: str, name: str = "public", limit: int = 120
) -> Callable[[Callable[Concatenate[HttpRequest, PaymentLink, str, P], HttpResponse]], Callable[..., HttpResponse]]:
    """The same of a link to one order's pay page, in the scope of the order's enterprise alone."""

    def found(token: str) -> PaymentLink | None:
        return link_for_token(token, now=clock.now())

    return _for_holder(found, lambda link: link.order.enterprise, ended_link, methods, name, limit)


def _for_holder(
    find: Callable[[str], Holder | None],
    owner: Callable[[Holder], Enterprise],
    lost: Callable[[HttpRequest], HttpResponse],
    methods: tuple[str, ...],
    name: str,
    limit: int,
) -> Callable[[Callable[Concatenate[HttpRequest, Holder, str, P], HttpResponse]], Callable[..., HttpResponse]]:
    def decorate(
        view: Callable[Concatenate[HttpRequest, Holder, str, P], HttpResponse],
    ) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, token: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            wall = clock.wall()
            with _language(request):
                if is_too_fast(request, wall=wall, name=name, limit=limit):
                    return private(too_fast(request, wall))
                holder = find(token)
                if holder is None:
                    return private(lost(request))
                if request.method not in methods:
                    return private(HttpResponseNotAllowed(methods))
                enterprise = owner(holder)
                with enterprise_scope([enterprise.pk], enterprise.ancestor_ids):
                    return private(view(request, holder, token, *args, **kwargs))

        return answer

    return decorate


@csrf_exempt
def nothing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """An address that can't be a link."""
    with _language(request):
        return private(unknown_link(request))


def unknown_link(request: HttpRequest) -> HttpResponse:
    """One answer for unknown, malformed and revoked links, and for terminated devices (F85)."""
    title = _("This link is not valid")
    text = _("Scan the code on the device again, or ask the seller of the device for a new one.")
    return render(request, "public/gone.html", {"title": title, "text": text}, status=404)


def ended_link(request: HttpRequest) -> HttpResponse:
    """One answer for pay links that are unknown, malformed, or dead with their order."""
    title = _("This payment link has ended")
    text = _("It is unknown, or its order no longer waits for payment. Ask for a new code.")
    return render(request, "public/gone.html", {"title": title, "text": text}, status=404)


def too_fast(request: HttpRequest, wall: datetime) -> HttpResponse:
    """Come back in the next minute."""
    context = {"title": _("Too many requests"), "text": _("Please wait a minute and try again.")}
    response = render(request, "public/gone.html", context, status=429)
    response["Retry-After"] = str(60 - wall.second)
    return response


def address(request: HttpRequest, name: str, *args: str, **query: str) -> str:
    """A path of the public page, or with its namespace of another one, that keeps the reader's choice of language."""
    if chosen := _chosen(request):
        query[LANGUAGE] = chosen
    return reverse(name if ":" in name else f"public:{name}", args=args) + (f"?{urlencode(query)}" if query else "")


def other_languages(path: str) -> list[tuple[str, str, str]]:
    """Code, own name and address of the page in each other language."""
    here = translation.get_language() or "en"
    return [(code, name, f"{path}?{LANGUAGE}={code}") for code, name in LANGUAGES.items() if code != here]


def private(response: HttpResponse) -> HttpResponse:
    """Not kept, not found, not told to others (F85); `amp.policy` says what the page may load."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Content-Language"] = translation.get_language() or "en"
    return response


def _chosen(request: HttpRequest) -> str:
    code = request.GET.get(LANGUAGE, "")
    return code if code in LANGUAGES else ""


def _language(request: HttpRequest) -> translation.override | nullcontext[None]:
    chosen = _chosen(request)
    return translation.override(chosen) if chosen else nullcontext()
