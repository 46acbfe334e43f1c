"""Renew: choose a plan with its consequences in sight, then order (Q1, Q5). One device today; the page takes many."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import actor, ensure, needs, page, refuse
from amp.foundation.services.refusals import Refused
from billing.models import OrderChannel
from billing.orders import MAX_LINES
from billing.services.attempts import start_attempt
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.quoting import Quote, QuoteLine, quote, refusal_text
from catalog.models import Plan
from catalog.services.plans import plans_on_sale
from devices.models import Device

SHOWN_LINES = 50


class Offer(NamedTuple):
    """One plan and what it would do; `line` is the first device that it can renew."""

    plan: Plan
    quote: Quote
    line: QuoteLine | None

    @property
    def refused(self) -> list[tuple[QuoteLine, str]]:
        """Devices that stand in the way, with the sentence that says why."""
        return [(line, refusal_text(line.refusal or "")) for line in self.quote.refused]


@needs(Action.RENEW)
def renew(request: HttpRequest) -> HttpResponse:
    """GET shows plans with the end that each gives; POST orders the chosen one."""
    devices = _devices(request)
    for device in devices:
        ensure(request, Action.RENEW, device.enterprise)
    if request.method == "POST":
        answer = _order(request, devices)
        if answer is not None:
            return answer
    now = clock.now()
    offers = [_offer(plan, devices) for plan in _plans(devices)]
    first = devices[0]
    title = (
        _("Renew %(device)s") % {"device": first}
        if len(devices) == 1
        else ngettext("Renew %(n)s device", "Renew %(n)s devices", len(devices)) % {"n": f"{len(devices):,}"}
    )
    return page(
        request,
        "billing/renew.html",
        title,
        crumbs=[
            (_("Device Service"), reverse("admin:devices_deviceservice_changelist")),
            *([(first.key, reverse("admin:device_details", args=[first.pk]))] if len(devices) == 1 else []),
        ],
        devices=devices,
        service=first.service,
        offers=offers,
        possible=any(offer.line for offer in offers),
        chosen=request.POST.get("plan", ""),
        once_key=request.POST.get("once_key") or secrets.token_urlsafe(16),
        now=now,
        zone=first.enterprise.time_zone,
    )


def _order(request: HttpRequest, devices: list[Device]) -> HttpResponse | None:
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
            device_ids=[device.pk for device in devices],
            plan=plan,
            channel=OrderChannel.STAFF,
            created_by=actor(request),
            once_key=request.POST.get("once_key", "")[:64] or None,
            now=now,
            continue_without_refused="without_refused" in request.POST,
        )
    except DevicesNotEligible as refused:
        lines = refused.refusals[:5]
        refuse(
            request,
            Refused.because(" ".join(f"{line.device_key}: {refusal_text(line.refusal or '')}" for line in lines)),
        )
        return None
    except Refused as refused:
        refuse(request, refused)
        return None
    if order.total and order.status == "PENDING":
        try:
            start_attempt(order=order, now=now, wall=clock.wall())
        except Refused as refused:  # the order stands; its page offers to ask for a code again
            refuse(request, refused)
    return redirect("admin:billing_order_change", order.pk)


def _devices(request: HttpRequest) -> list[Device]:
    given = request.POST.getlist("device") or request.GET.getlist("device")
    ids = {int(each) for each in given if each.isascii() and each.isdecimal() and len(each) < 19}
    rows = Device.objects.filter(pk__in=list(ids)[:MAX_LINES]).select_related(
        "product__enterprise", "enterprise", "service"
    )
    devices = list(rows.order_by("pk"))
    if not devices or len(devices) != len(ids):
        raise Http404
    return devices


def _plans(devices: list[Device]) -> list[Plan]:
    """Plans for all of the devices' products and owners; each place is asked once."""
    places = {(device.product_id, device.enterprise_id): device for device in devices}
    now = clock.now()
    found = [
        {plan.pk: plan for plan in plans_on_sale(product=d.product, device_enterprise=d.enterprise, now=now)}
        for d in places.values()
    ]
    common = set.intersection(*(set(each) for each in found))
    return [plan for pk, plan in found[0].items() if pk in common]


def _offer(plan: Plan, devices: list[Device]) -> Offer:
    quoted = quote(device_ids=[device.pk for device in devices], plan=plan, now=clock.now())
    return Offer(plan, quoted, next(iter(quoted.accepted), None))
