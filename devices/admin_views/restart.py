"""Restart for factory returns: what a new life means, then the button; the key is typed (A6)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import actor, done, ensure, found, needs, page
from amp.foundation.services.refusals import Refused
from catalog.services.rules import current_rule
from devices.admin_views.words import state_word
from devices.models import Device
from devices.services.restart import SENTENCES, restart_preview, restart_service


@needs(Action.OPERATE_DEVICES)
def restart(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows what a restart would do; POST, with a reason and the device's key, does it."""
    device = found(Device.objects.select_related("enterprise", "product", "service"), pk)
    ensure(request, Action.OPERATE_DEVICES, device.enterprise)
    problems: list[str] = []
    if request.method == "POST":
        try:
            _begin(request, device)
        except Refused as refused:
            problems = [problem.message for problem in refused.problems]
        else:
            done(request, _("%(device)s begins a new life: pending, counter 0.") % {"device": device})
            return redirect("admin:device_details", pk)
    return _page(request, device, problems)


def _begin(request: HttpRequest, device: Device) -> None:
    if request.POST.get("key", "").strip() != device.key:
        raise Refused.because(_("Nothing was done: the key that you typed is not this device's."))
    restart_service(
        device_id=device.pk, reason=request.POST.get("reason", "")[:400], actor=actor(request), now=clock.now()
    )


def _page(request: HttpRequest, device: Device, problems: list[str]) -> HttpResponse:
    preview = restart_preview(device_id=device.pk, now=clock.now())
    return page(
        request,
        "devices/restart.html",
        _("Restart %(device)s") % {"device": device},
        crumbs=[
            (_("Device List"), reverse("admin:devices_device_changelist")),
            (device.key, reverse("admin:device_details", args=[device.pk])),
        ],
        device=device,
        service=device.service,
        preview=preview,
        state=state_word(preview.state.value),
        pending=state_word("PENDING"),
        rule=current_rule(device.product_id),
        refusal=SENTENCES[preview.refusal] if preview.refusal else "",
        problems=problems,
        reason=request.POST.get("reason", "")[:400],
        zone=device.enterprise.time_zone,
        status=422 if problems else 200,
    )
