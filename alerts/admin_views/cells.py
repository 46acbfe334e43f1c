"""How notices look in the cells of a list, and the columns of what is exported."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from alerts.models import Notice
from alerts.models.notices import CHANNEL_CHOICES, REASON_CHOICES, SERVICE_CHOICES, STATUS_CHOICES
from amp.foundation.lists.columns import Column
from amp.foundation.templatetags.amp_display import badge_html, day, moment
from devices.models.commands import STATUS_CHOICES as COMMAND_STATUSES

TONES = {
    "DUE": "blue",
    "HANDED_OVER": "blue",
    "SENT": "green",
    "UNSUPPORTED": "amber",
    "FAILED": "red",
    "PENDING": "amber",
    "ACKED": "green",
    "CONFIRMED": "green",
}
"""Of notices and of the commands that carry them; whatever else is history."""
EXPORTED = (
    Column(gettext_lazy("device key"), "device__key"),
    Column(gettext_lazy("enterprise"), "enterprise__name"),
    Column(gettext_lazy("service"), "service", choices=SERVICE_CHOICES),
    Column(gettext_lazy("end announced"), "ends_at"),
    Column(gettext_lazy("days before"), "days"),
    Column(gettext_lazy("channel"), "channel", choices=CHANNEL_CHOICES),
    Column(gettext_lazy("status"), "status", choices=STATUS_CHOICES),
    Column(gettext_lazy("command"), "command__status", choices=COMMAND_STATUSES),
    Column(gettext_lazy("reason"), "reason", choices=REASON_CHOICES),
    Column(gettext_lazy("due"), "falls_due_at"),
    Column(gettext_lazy("done"), "closed_at"),
)


def threshold(days: int) -> str:
    """How long before the end, in words: the last one is a day, which the wire calls so too (N2)."""
    return _("24 hours") if days == 1 else ngettext("%(n)d day", "%(n)d days", days) % {"n": days}


def outcome(notice: Notice) -> tuple[str, str]:
    """Word and colour of what became of a notice; of one to the device, what its command says."""
    if notice.command is not None:
        return str(notice.command.get_status_display()), TONES.get(notice.command.status, "grey")
    return str(notice.get_status_display()), TONES.get(notice.status, "grey")


def reason(notice: Notice) -> str:
    """Why it didn't go out: in words, and what the TSL or the device said."""
    more = notice.command.problem if notice.command is not None else notice.detail
    return " ".join(part for part in (str(notice.get_reason_display() or ""), more) if part) or "—"


class NoticeColumns:
    """Cells of a notice, which leads to its device."""

    @admin.display(description=gettext_lazy("device"))
    def device_key(self, notice: Notice) -> str:
        """The key."""
        return format_html('<span class="amp-when">{}</span>', notice.device.key)

    @admin.display(description=gettext_lazy("before the end"))
    def before(self, notice: Notice) -> str:
        """The threshold."""
        return threshold(notice.days)

    @admin.display(description=gettext_lazy("end announced"))
    def end(self, notice: Notice) -> str:
        """The day."""
        return day(notice.ends_at)

    @admin.display(description=gettext_lazy("status"))
    def badge(self, notice: Notice) -> str:
        """A dot and the word."""
        return badge_html(*outcome(notice))

    @admin.display(description=gettext_lazy("reason"))
    def why(self, notice: Notice) -> str:
        """In words."""
        return reason(notice)

    @admin.display(description=gettext_lazy("due"))
    def due(self, notice: Notice) -> str:
        """The minute."""
        return moment(notice.falls_due_at)

    @admin.display(description=gettext_lazy("done"))
    def done(self, notice: Any) -> str:
        """The minute."""
        return moment(notice.closed_at)
