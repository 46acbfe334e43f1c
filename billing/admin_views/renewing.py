"""Renew one device: choose a plan with its consequences in sight, then order (Q1, Q5). Many: `selecting`, `batch`."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import actor, ensure, found, needs, page, refuse
from amp.foundation.services.refusals import Refused
from billing.admin_views.selecting import services_list
from billing.models import OrderChannel
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.paying import ask_on_screen
from billing.services.quoting import Quote, QuoteLine, quote_plans, refusal_text
from catalog.models import Plan
from devices.models import Device


class Offer(NamedTuple):
    """One plan and what it would do to the device: `line`, or `why` not."""

    plan: Plan
    line: QuoteLine | None
    why: str


@needs(Action.RENEW)
def renew(request: HttpRequest) -> HttpResponse:
    """GET shows plans with the end that each gives; POST orders the chosen one."""
    device = _device(request)
    ensure(request, Action.RENEW, device.enterprise)
    if request.method == "POST":
        answer = _order(request, device)
        if answer is not None:
            return answer
    now = clock.now()
    offers = [_offer(each) for each in quote_plans(device_ids=[device.pk], now=now)]
    return page(
        request,
        "billing/renew.html",
        _("Renew %(device)s") % {"device": device},
        crumbs=[services_list(), (device.key, reverse("admin:device_details", args=[device.pk]))],
        device=device,
        service=device.service,
        offers=offers,
        possible=any(offer.line for offer in offers),
        chosen=request.POST.get("plan", ""),
        once_key=request.POST.get("once_key") or secrets.token_urlsafe(16),
        now=now,
        zone=device.enterprise.time_zone,
    )


def _order(request: HttpRequest, device: Device) -> HttpResponse | None:
    """The order's page, or None where the choice has to be made again."""
    chosen = request.POST.get("plan", "")
    is_id = chosen.isascii() and chosen.isdecimal() and len(chosen) < 19
    plan = Plan.objects.filter(pk=int(chosen)).select_related("merchant").first() if is_id else None
    if plan is None:
        refuse(request, Refused.because(_("Choose a plan first.")))
        return None
    now = clock.now()
    try:
        order = open_order(
            device_ids=[device.pk],
            plan=plan,
            channel=OrderChannel.STAFF,
            created_by=actor(request),
            once_key=request.POST.get("once_key", "")[:64] or None,
            now=now,
        )
    except DevicesNotEligible as refused:
        refuse(request, Refused.because(refusal_text(refused.refusals[0].refusal or "")))
        return None
    except Refused as refused:
        refuse(request, refused)
        return None
    if order.total and order.status == "PENDING":
        try:
            ask_on_screen(order=order, now=now, wall=clock.wall())
        except Refused as refused:  # the order stands; its page offers to ask for a code again
            refuse(request, refused)
    return redirect("admin:billing_order_change", order.pk)


def _device(request: HttpRequest) -> Device:
    given = request.POST.get("device") or request.GET.get("device") or ""
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise Http404
    return found(Device.objects.select_related("product__enterprise", "enterprise", "service"), int(given))


def _offer(quoted: Quote) -> Offer:
    [line] = quoted.lines
    return Offer(quoted.plan, line if line.is_ok else None, refusal_text(line.refusal) if line.refusal else "")
