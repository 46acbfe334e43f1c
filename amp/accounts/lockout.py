"""What django-axes asks us: whose attempt it is, and what somebody who is locked out is told (F94)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from amp.foundation import clock
from amp.public.throttle import address_of

ADDRESS_LIMIT = 50
"""Wrong passwords from one address, for whichever accounts, within the time that attempts are remembered (F94)."""


def account_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The account that is tried, spelled as the sign-in takes it: case and spaces open no second set of attempts."""
    told = (credentials or {}).get("username") or request.POST.get("username") or ""
    return str(told).strip().lower()[:255]


def visitor_address(request: HttpRequest) -> str | None:
    """The address that attempts are counted for, seen through our own proxies as the public page sees it."""
    address = address_of(request)
    return None if address == "unknown" else address


def locked_out(request: HttpRequest, answered: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """The same page whether or not the account exists; it says when to try again."""
    return _closed(request, _left(account_name(request, credentials), visitor_address(request)))


def closed_to_address(request: HttpRequest) -> HttpResponse | None:
    """The same answer to an address from which many accounts were tried; None to any other.

    One password for each of a thousand accounts never reaches the limit of one account (F94).
    """
    left = _address_left(visitor_address(request))
    return _closed(request, left) if left else None


def _closed(request: HttpRequest, left: timedelta) -> HttpResponse:
    minutes = max(1, math.ceil(left / timedelta(minutes=1)))
    context = {**admin.site.each_context(request), "minutes": minutes, "title": ""}
    response = render(request, "accounts/locked.html", context, status=429)
    response["Retry-After"] = str(max(1, math.ceil(left.total_seconds())))
    return response


def _left(name: str, address: str | None) -> timedelta:
    """How long until the attempts are forgotten, in real time."""
    last = AccessAttempt.objects.filter(username=name, ip_address=address).order_by("-attempt_time").first()
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    return last.attempt_time + cool_off - clock.wall() if last else cool_off


def _address_left(address: str | None) -> timedelta:
    """How long until fewer than `ADDRESS_LIMIT` failures of this address are remembered; zero where it is so now."""
    cool_off, wall = settings.AXES_COOLOFF_TIME, clock.wall()
    recent = AccessAttempt.objects.filter(ip_address=address, attempt_time__gt=wall - cool_off)
    failures = 0
    for at, number in recent.order_by("-attempt_time").values_list("attempt_time", "failures_since_start"):
        failures += number
        if failures >= ADDRESS_LIMIT:
            return at + cool_off - wall
    return timedelta()
