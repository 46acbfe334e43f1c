"""SIM and RTK services of one device: what its tab shows, and the page that changes one (N3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import Crumb, actor, done, ensure, found, page
from amp.foundation.services.refusals import Refused
from devices.forms.validities import ValidityForm
from devices.models import Device, ServiceKind, Validity
from devices.services.validities import ValiditySetting, extended_end, set_validity
from devices.validity_csv import day_ends_at, day_starts_at, last_day

SOON_DAYS = 30


class ServiceRow(NamedTuple):
    """One service of a device, with its validity or without."""

    kind: str
    validity: Validity | None
    tone: str
    word: str


def services_of(device: Device, now: datetime) -> list[ServiceRow]:
    """SIM and RTK of the device, in this order."""
    by_kind = {row.kind: row for row in Validity.objects.filter(device=device)}
    return [
        ServiceRow(kind.value, by_kind.get(kind.value), *standing(by_kind.get(kind.value), now)) for kind in ServiceKind
    ]


def standing(validity: Validity | None, now: datetime) -> tuple[str, str]:
    """Tone and word of a validity now."""
    if validity is None:
        return "grey", _("Not set")
    if validity.ends_at <= now:
        return "red", _("Over")
    if validity.starts_at and validity.starts_at > now:
        return "blue", _("Not yet valid")
    if (validity.ends_at - now).days < SOON_DAYS:
        return "amber", _("Ends soon")
    return "green", _("Valid")


def change_validity(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Set, extend or clear one service of the device."""
    if kind not in {each.value for each in ServiceKind}:
        raise Http404
    device = found(Device.objects.select_related("enterprise"), pk)
    ensure(request, Action.OPERATE_DEVICES, device.enterprise)
    standing_now = Validity.objects.filter(device=device, kind=kind).first()
    form = ValidityForm(request.POST or None, initial=_initial(standing_now, device))
    if request.method == "POST" and form.is_valid():
        setting = _setting(form.cleaned_data, device, ServiceKind(kind), standing_now, clock.now())
        try:
            changed = set_validity(setting, actor=actor(request), now=clock.now())
        except Refused as refused:
            form.add_error("ends_on", str(refused))
        else:
            done(request, _saved(changed))
            return redirect(f"{reverse('admin:device_details', args=[pk])}?tab=services#records")
    title = _("%(service)s service of %(device)s") % {"service": kind, "device": device}
    return page(request, "admin/amp_form.html", title, crumbs=_crumbs(device), form=form, submit=_("Save"))


def _setting(
    given: dict[str, Any], device: Device, kind: ServiceKind, standing_now: Validity | None, now: datetime
) -> ValiditySetting:
    zone = ZoneInfo(device.enterprise.time_zone)
    starts_at = standing_now.starts_at if standing_now else None
    match given["change"]:
        case "clear":
            return ValiditySetting(device.pk, kind, None, why=given["why"])
        case "extend":
            end = standing_now.ends_at if standing_now else None
            ends_at = extended_end(end, given["months"], now, device.enterprise.time_zone)
            return ValiditySetting(device.pk, kind, ends_at, starts_at, given["why"])
    starts_at = day_starts_at(given["starts_on"], zone) if given["starts_on"] else None
    return ValiditySetting(device.pk, kind, day_ends_at(given["ends_on"], zone), starts_at, given["why"])


def _initial(standing_now: Validity | None, device: Device) -> dict[str, Any]:
    if standing_now is None:
        return {}
    zone = ZoneInfo(device.enterprise.time_zone)
    starts = standing_now.starts_at.astimezone(zone).date() if standing_now.starts_at else None
    return {"starts_on": starts, "ends_on": last_day(standing_now.ends_at, zone)}


def _saved(changed: bool) -> str:
    return _("Saved.") if changed else _("Nothing to change: it is so already.")


def _crumbs(device: Device) -> list[Crumb]:
    return [
        (_("Device List"), reverse("admin:devices_device_changelist")),
        (device.key, reverse("admin:device_details", args=[device.pk]) + "?tab=services"),
    ]
