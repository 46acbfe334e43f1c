"""The public page's addresses. The form gives a plan choice and nothing else; the rest comes from the server (F86)."""

from __future__ import annotations

from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.money import format_money
from amp.foundation.services.refusals import Refused
from amp.public.answers import address, for_link, nothing, other_languages, too_fast, unknown_link
from amp.public.offers import payable_plans
from amp.public.page import brand_of, device_page, end_mark
from amp.public.recent import recent_payment
from amp.public.result import OPEN, Sight, look, result_of
from amp.public.throttle import is_too_fast
from billing.models import Order, OrderChannel, OrderStatus
from billing.orders import ORDER_NUMBER
from billing.services.attempts import start_attempt
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.polling import refresh_attempt
from billing.services.quoting import refusal_text
from catalog.models import Plan
from devices.models import Device

__all__ = ["nothing", "pay", "result", "show", "status"]

ORDERS_A_MINUTE = 20
FOLLOWS_A_MINUTE = 600
"""Many people wait for their payment behind one mobile carrier's address."""
BUYER = "renewal page"


@for_link("GET", "HEAD")
def show(request: HttpRequest, device: Device, token: str) -> HttpResponse:
    """The device, its service and what a renewal costs; creates nothing (F85)."""
    return _show(request, device, token)


@for_link("POST")
def pay(request: HttpRequest, device: Device, token: str) -> HttpResponse:
    """Open the order of the chosen plan, or find the open one, and go to the payment."""
    now, wall = clock.now(), clock.wall()
    if is_too_fast(request, wall=wall, name="pay", limit=ORDERS_A_MINUTE):
        return too_fast(request, wall)
    plan = _chosen_plan(request, device)
    if plan is None:
        return _show(request, device, token, error=_("This plan is not on offer. Please choose again."), status=409)
    if _is_outdated(request, device):
        return _show(request, device, token, error=_("The service has changed meanwhile. Look again."), status=409)
    try:
        order = open_order(
            device_ids=[device.pk], plan=plan, channel=OrderChannel.PUBLIC, created_by=BUYER, once_key=None, now=now
        )
        back = address(request, "result", token, order.number)
        attempt = start_attempt(order=order, return_path=back, now=now, wall=wall)
    except DevicesNotEligible as refused:
        error = refusal_text(refused.refusals[0].refusal or "")
        return _show(request, device, token, error=error, status=409)
    except Refused as refused:
        return _show(request, device, token, error=str(refused), status=409)
    return HttpResponseRedirect(attempt.code if urlsplit(attempt.code).scheme in {"http", "https"} else back)


@for_link("GET", "HEAD")
def result(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """How far the renewal is. Coming back from the gateway only makes the server ask the gateway itself (Q3)."""
    sight = _followed(device, number)
    if sight is None:
        return unknown_link(request)
    order, path = sight.order, address(request, "result", token, number)
    context = {
        "brand": brand_of(device),
        "result": result_of(sight, zone=ZoneInfo(device.enterprise.time_zone), now=clock.now()),
        "order": order,
        "amount": format_money(order.total, order.currency, get_language() or "en"),
        "status_path": address(request, "status", token, number),
        "device_path": address(request, "device", token),
        "receipt_path": address(request, "receipt", token, number) if order.paid_at else "",
        "languages": other_languages(path.partition("?")[0]),
    }
    return render(request, "public/result.html", context)


@for_link("GET", "HEAD", name="follow", limit=FOLLOWS_A_MINUTE)
def status(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """The version of the result page, for the page to follow."""
    sight = _followed(device, number)
    if sight is None:
        return JsonResponse({"version": "gone", "moving": False}, status=404)
    found = result_of(sight, zone=ZoneInfo(device.enterprise.time_zone), now=clock.now())
    return JsonResponse({"version": found.version, "moving": found.is_moving})


def _chosen_plan(request: HttpRequest, device: Device) -> Plan | None:
    chosen = request.POST.get("plan", "")
    return next((plan for plan in payable_plans(device, now=clock.now()) if str(plan.pk) == chosen), None)


def _is_outdated(request: HttpRequest, device: Device) -> bool:
    """The form was shown before a renewal that has come since: nobody pays twice by the browser's Back (F32)."""
    seen = request.GET.get("seen")
    if seen is not None and seen != end_mark(device.service):
        return True
    zone = ZoneInfo(device.enterprise.time_zone)
    waiting = recent_payment(device, zone=zone, language="en", now=clock.now())
    return waiting is not None and not waiting.ends


def _show(request: HttpRequest, device: Device, token: str, *, error: str = "", status: int = 200) -> HttpResponse:
    page = device_page(device, language=get_language() or "en", now=clock.now())
    recent, wants_more = page.recent, "more" in request.GET
    is_applied = recent is not None and bool(recent.ends)
    context = {
        "page": page,
        "brand": page.brand,
        "error": error,
        "choices": page.choices if recent is None or (is_applied and wants_more) else (),
        "more_path": address(request, "device", token, more="1") if is_applied and page.choices else "",
        "recent_path": address(request, "result", token, recent.number) if recent else "",
        "pay_path": address(request, "pay", token, seen=page.seen_end),
        "pay_label": _("Pay (TEST)") if settings.SANDBOX_ENABLED else _("Pay"),
        "languages": other_languages(address(request, "device", token).partition("?")[0]),
    }
    return render(request, "public/device.html", context, status=status)


def _followed(device: Device, number: str) -> Sight | None:
    """The order of this device and page as it stands, after asking the gateway where it may know more (F26)."""
    if not ORDER_NUMBER.fullmatch(number):
        return None
    orders = Order.objects.filter(number=number, lines__device=device, channel=OrderChannel.PUBLIC.value)
    order: Order | None = orders.first()
    if order is None:
        return None
    sight = look(order, device)
    attempt = sight.attempts[0] if sight.attempts else None
    if order.status != OrderStatus.PENDING.value or attempt is None or attempt.status not in OPEN:
        return sight
    refresh_attempt(attempt=attempt, now=clock.now(), wall=clock.wall())
    order.refresh_from_db()
    return look(order, device)
