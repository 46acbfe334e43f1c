"""How devices look in the cells of a list, and the columns of what is exported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from amp.foundation.lists.columns import Column
from amp.foundation.templatetags.amp_display import TONES, badge_html, day, duration, moment
from devices.models import Device, DeviceService
from devices.models.service import LOCK_CHOICES, STATE_CHOICES


def named(device: Device) -> str:
    """The key, and below it the name or else the serial number."""
    other = device.name or device.serial
    if not other:
        return format_html('<span class="amp-when">{}</span>', device.key)
    return format_html('<span class="amp-when">{}</span> <span class="amp-under-cell">{}</span>', device.key, other)


def state_badge(service: DeviceService) -> str:
    """A dot and the word of the state."""
    return badge_html(service.get_state_display(), TONES.get(service.state, "grey"))


def presence_badge(presence: Any) -> str:
    """Online, or when it was last seen."""
    if presence.is_online:
        return badge_html(_("Online"), "green")
    if presence.last_seen_at is None:
        return badge_html(_("Never online"))
    return badge_html(_("Offline"), "grey", moment(presence.last_seen_at))


def lock_badges(service: DeviceService) -> str:
    """What the device reports and, where that isn't what is wanted, the wish beside it."""
    tone = "red" if service.reported_lock == "LOCKED" else "grey"
    reported = badge_html(service.get_reported_lock_display(), tone, _("reported"))
    if service.desired_lock in {service.reported_lock, "UNKNOWN"}:
        return reported
    wish = _("Lock wanted") if service.desired_lock == "LOCKED" else _("Unlock wanted")
    return format_html("{} {}", badge_html(wish, "amber"), reported)


def left(end: datetime | None, now: datetime) -> str:
    """Time until the end: days, or hours on the last one; a word once it is over."""
    if end is None:
        return "—"
    if end <= now:
        return badge_html(_("Over"))
    days = (end - now).days
    if days:
        return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    return badge_html(duration((end - now).seconds), "amber")


class ServiceColumns:
    """Cells of a service that are those of its device."""

    @admin.display(description=gettext_lazy("name"))
    def name(self, service: DeviceService) -> str:
        """What people call it."""
        return service.device.name

    @admin.display(description=gettext_lazy("serial number"))
    def serial(self, service: DeviceService) -> str:
        """From the maker."""
        return service.device.serial

    @admin.display(description="ICCID")
    def iccid(self, service: DeviceService) -> str:
        """Of the SIM."""
        return service.device.iccid

    @admin.display(description=gettext_lazy("registered"))
    def registered(self, service: DeviceService) -> str:
        """The day."""
        return day(service.device.created_at)


def _columns(service: str, device: str) -> tuple[Column, ...]:
    """Of one file, from the list's table on."""
    presence = f"{device}presence__"
    return (
        Column(gettext_lazy("device key"), f"{device}key"),
        Column(gettext_lazy("name"), f"{device}name"),
        Column(gettext_lazy("serial number"), f"{device}serial"),
        Column("ICCID", f"{device}iccid"),
        Column(gettext_lazy("product"), "product__name"),
        Column(gettext_lazy("product key"), "product__key"),
        Column(gettext_lazy("enterprise"), "enterprise__name"),
        Column(gettext_lazy("service"), f"{service}state", STATE_CHOICES),
        Column(gettext_lazy("ends"), f"{service}ends_at"),
        Column(gettext_lazy("lock wanted"), f"{service}desired_lock", LOCK_CHOICES),
        Column(gettext_lazy("lock reported"), f"{service}reported_lock", LOCK_CHOICES),
        Column(gettext_lazy("online"), f"{presence}is_online"),
        Column(gettext_lazy("last seen"), f"{presence}last_seen_at"),
        Column(gettext_lazy("registered"), f"{device}created_at"),
    )


DEVICE_COLUMNS = _columns("service__", "")
SERVICE_COLUMNS = _columns("", "device__")
