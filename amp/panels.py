"""Pages composed at the roof: a device with its orders."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from alerts.admin_views import device_tab
from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.pages import found, needs, page, signed_in
from billing.models import OrderLine
from devices.admin_views import credentials, details, validities
from devices.models import Device

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
