"""Pages composed at the roof: a device with its orders, and operations."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Min, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from alerts.admin_views import device_tab
from amp.alarms.facts import read_facts
from amp.alarms.rules import alarms
from amp.alarms.words import tell
from amp.dead import dead_work, retry_dead
from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import SweepRun
from amp.foundation.pages import actor, done, found, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from billing.models import OrderLine, PaymentAttempt, PaymentException
from devices.admin_views import credentials, details, validities
from devices.models import Bridge, Command, Device, DeviceService
from devices.models.commands import OPEN_STATUSES

TABS = ("timeline", "periods", "orders", "commands", "services", "notices", "presence", "access")


@needs(Action.VIEW)
def device_details(request: HttpRequest, pk: int) -> HttpResponse:
    """Why the device's service is as it is, four facts, its life, and one tab of rows (G2)."""
    rows = Device.objects.select_related("product", "enterprise", "service__level", "presence")
    device = found(rows, pk)
    tab = request.GET.get("tab", "timeline")
    tab = tab if tab in TABS else "timeline"
    now = clock.now()
    return page(
        request,
        "devices/details.html",
        device.key,
        crumbs=[(_("Device List"), reverse("admin:devices_device_changelist"))],
        view=details.overview(device, now=now),
        device=device,
        now=now,
        tab=tab,
        tabs=_tabs(device),
        rows=_rows(device, tab),
        zone=device.enterprise.time_zone,
        disconnect=credentials.last_disconnect(device) if tab == "access" else None,
        may_operate=may(signed_in(request), Action.OPERATE_DEVICES, device.enterprise),
        may_renew=may(signed_in(request), Action.RENEW, device.enterprise),
    )


@needs(Action.OPERATE_PLATFORM)
def operations(request: HttpRequest) -> HttpResponse:
    """What keeps the product moving: sweeps, bridges, and rows that wait."""
    now, wall = clock.now(), clock.wall()
    open_commands = Command.objects.filter(status__in=OPEN_STATUSES)
    return page(
        request,
        "admin/amp_operations.html",
        _("Operations"),
        now=now,
        wall=wall,
        alarms=[tell(alarm) for alarm in alarms(read_facts(now=now), now=now, wall=wall)],
        sweeps=SweepRun.objects.order_by("name"),
        bridges=Bridge.objects.order_by("name"),
        due=DeviceService.objects.filter(due_at__lte=now).aggregate(number=Count("pk"), oldest=Min("due_at")),
        commands=open_commands.aggregate(
            waiting=Count("pk", filter=Q(status="PENDING", hold=None)),
            held=Count("hold"),
            sent=Count("pk", filter=Q(status="SENT")),
        ),
        unknown=PaymentAttempt.objects.filter(status="UNKNOWN").count(),
        exceptions=PaymentException.objects.filter(resolved_at=None).count(),
        dead=dead_work(),
    )


@require_POST
@needs(Action.OPERATE_PLATFORM)
def retry(request: HttpRequest) -> HttpResponse:
    """Have given-up work tried again: one row, or all of its kind (F15)."""
    pk = request.POST.get("pk", "")
    tried = retry_dead(
        request.POST.get("kind", ""),
        pk=(int(pk) if pk.isascii() and pk.isdecimal() and len(pk) <= 18 else 0) if pk else None,
        actor=actor(request),
        now=clock.now(),
        wall=clock.wall(),
    )
    if tried:
        message = ngettext("%(n)d row is tried again.", "%(n)d rows are tried again.", tried)
        done(request, message % {"n": tried})
    else:
        refuse(request, Refused.because(_("Nothing is left to try again: somebody else was quicker.")))
    return redirect("admin:operations")


def _tabs(device: Device) -> list[tuple[str, str, int | None]]:
    counts = details.counts(device)
    return [
        ("timeline", _("Timeline"), None),
        ("periods", _("Periods"), counts["periods"]),
        ("orders", _("Orders"), OrderLine.objects.filter(device=device).count()),
        ("commands", _("Commands"), counts["commands"]),
        ("services", "SIM · RTK", counts["validities"]),
        ("notices", _("Notices"), device_tab.count(device)),
        ("presence", _("Presence"), counts["sessions"]),
        ("access", _("Access"), None),
    ]


def _rows(device: Device, tab: str) -> Any:
    match tab:
        case "periods":
            return details.periods(device)
        case "orders":
            return OrderLine.objects.filter(device=device).select_related("order").order_by("-id")[: details.ROWS]
        case "commands":
            rows = list(details.commands(device))
            return [(row, details.may_be_sent_again(row, device.service)) for row in rows]
        case "services":
            return validities.services_of(device, clock.now())
        case "notices":
            return device_tab.notices(device)
        case "presence":
            return details.sessions(device)
        case "access":
            return details.links(device)
    return details.timeline(device)
