"""The public page's addresses. The form gives a plan choice and nothing else; the rest comes from the server (F86)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.money import format_money
from amp.foundation.services.refusals import Refused
from amp.public.answers import address, for_link, nothing, other_languages, too_fast, unknown_link
from amp.public.beginning import AND_GO, ask_gateways, begin, browser_behind, common_offer, first_buttons, why_not
from amp.public.offers import payable_plans
from amp.public.page import brand_of, device_page, end_mark
from amp.public.panel import Panel, Paying, not_here
from amp.public.recent import recent_payment
from amp.public.result import Result, Sight, look, result_of
from amp.public.throttle import is_too_fast
from billing.models import Order, OrderChannel, OrderStatus
from billing.orders import ORDER_NUMBER
from billing.services.links import token_of
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.quoting import refusal_text
from billing.services.tills import offer_of
from billing.wallets import Browser
from catalog.models import Plan
from devices.models import Device

__all__ = ["nothing", "pay", "pay_order", "result", "show", "status"]

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
    browser = browser_behind(request)
    if refusal := why_not(offer_of(plan.merchant, browser), browser):
        return _show(request, device, token, error=refusal, status=409)
    try:
        order = open_order(
            device_ids=[device.pk], plan=plan, channel=OrderChannel.PUBLIC, created_by=BUYER, once_key=None, now=now
        )
        onward = begin(request, order, here=address(request, "result", token, order.number), now=now, wall=wall)
    except DevicesNotEligible as refused:
        error = refusal_text(refused.refusals[0].refusal or "")
        return _show(request, device, token, error=error, status=409)
    except Refused as refused:
        return _show(request, device, token, error=str(refused), status=409)
    return HttpResponseRedirect(onward)


@for_link("POST")
def pay_order(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """Pay for an order that is open: by the wallet that was chosen, or anew where a code has ended."""
    now, wall = clock.now(), clock.wall()
    if is_too_fast(request, wall=wall, name="pay", limit=ORDERS_A_MINUTE):
        return too_fast(request, wall)
    order = _order(device, number)
    if order is None:
        return unknown_link(request)
    here = address(request, "result", token, number)
    try:
        return HttpResponseRedirect(begin(request, order, here=here, now=now, wall=wall))
    except Refused as refused:
        return _result(request, device, token, order, error=str(refused), status=409)


@for_link("GET", "HEAD")
def result(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """How far the renewal is. Coming back from the gateway only makes the server ask the gateway itself (Q3)."""
    order = _order(device, number)
    return unknown_link(request) if order is None else _result(request, device, token, order)


@for_link("GET", "HEAD", name="follow", limit=FOLLOWS_A_MINUTE)
def status(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """The version of the result page, for the page to follow."""
    order = _order(device, number)
    if order is None:
        return JsonResponse({"version": "gone", "moving": False}, status=404)
    found, _panel = _looked(request, device, token, _followed(order, device))
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
    choices = page.choices if recent is None or (is_applied and wants_more) else ()
    browser = browser_behind(request)
    offer = common_offer(page.sellers, browser) if choices else None
    context = {
        "page": page,
        "brand": page.brand,
        "error": error,
        "choices": choices,
        "more_path": address(request, "device", token, more="1") if is_applied and page.choices else "",
        "recent_path": address(request, "result", token, recent.number) if recent else "",
        "pay_path": address(request, "pay", token, seen=page.seen_end),
        "buttons": first_buttons(offer),
        "not_here": not_here(browser, offer) if offer and not offer.choices else (),
        "languages": other_languages(address(request, "device", token).partition("?")[0]),
    }
    return render(request, "public/device.html", context, status=status)


def _result(
    request: HttpRequest, device: Device, token: str, order: Order, *, error: str = "", status: int = 200
) -> HttpResponse:
    sight = _followed(order, device)
    found, panel = _looked(request, device, token, sight)
    order, path = sight.order, address(request, "result", token, order.number)
    context = {
        "brand": brand_of(device),
        "result": found,
        "panel": panel,
        "error": error,
        "order": order,
        "amount": format_money(order.total, order.currency, get_language() or "en"),
        "status_path": address(request, "status", token, order.number),
        "pay_path": address(request, "pay_order", token, order.number),
        "device_path": address(request, "device", token),
        "receipt_path": address(request, "receipt", token, order.number) if order.paid_at else "",
        "languages": other_languages(path.partition("?")[0]),
    }
    return render(request, "public/result.html", context, status=status)


def _order(device: Device, number: str) -> Order | None:
    """An order of this device and page."""
    if not ORDER_NUMBER.fullmatch(number):
        return None
    orders = Order.objects.filter(number=number, lines__device=device, channel=OrderChannel.PUBLIC.value)
    order: Order | None = orders.select_related("merchant").first()
    return order


def _followed(order: Order, device: Device) -> Sight:
    """The order as it stands, after asking the gateways where they may know more (F26)."""
    sight = look(order, device)
    if order.status == OrderStatus.PENDING.value:
        if ask_gateways(sight.attempts):
            sight = look(order, device)
        # After its payments: a payment that settles between the two reads would look like one that differs.
        order.refresh_from_db(fields=["status", "paid_at", "expires_at"])
    return sight


def _looked(request: HttpRequest, device: Device, token: str, sight: Sight) -> tuple[Result, Panel | None]:
    """What the page says, and what there is to do on it while the order waits."""
    zone, order = ZoneInfo(device.enterprise.time_zone), sight.order
    if order.status != OrderStatus.PENDING.value or sight.is_checked_by_staff:
        return result_of(sight, zone=zone), None
    browser = browser_behind(request)
    is_wechat = browser is Browser.WECHAT
    link = token_of(order, return_path=address(request, "result", token, order.number) if is_wechat else "")
    paying = Paying(
        order,
        sight.attempts,
        browser=browser,
        offer=offer_of(order.merchant, browser),
        amount=format_money(order.total, order.currency, get_language() or "en"),
        zone=zone,
        now=clock.now(),
        token=link,
        login=address(request, "paying:page", link) + AND_GO if is_wechat and link else "",
    )
    panel = paying.panel()
    return result_of(sight, zone=zone, mark=panel.mark if panel else ""), panel
