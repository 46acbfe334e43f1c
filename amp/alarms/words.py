"""Alarms in the reader's language: a sentence each, and the page that helps."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from amp.alarms.rules import Alarm, Kind
from amp.dead import KINDS

DUE = {
    "services": gettext_lazy("Device services"),
    "commands": gettext_lazy("Commands"),
    "orders": gettext_lazy("Paid orders"),
    "refunds": gettext_lazy("Refunds"),
}


class Told(NamedTuple):
    """One alarm as a page or a mail shows it."""

    sentence: str
    url: str
    since: Any
    tone: str


def tell(alarm: Alarm) -> Told:
    """The sentence in the active language; the address is a path of the admin."""
    url = reverse("admin:held_locks" if alarm.kind is Kind.LOCKS_HELD else "admin:operations")
    return Told(sentence(alarm), url, alarm.since, "red" if alarm.is_red else "amber")


def sentence(alarm: Alarm) -> str:
    """What is wrong, in one sentence."""
    number, subject = f"{alarm.number:,}", alarm.subject
    match alarm.kind:
        case Kind.LOCKS_HELD:
            text = ngettext(
                "%(number)s lock of %(subject)s is held until somebody confirms it.",
                "%(number)s locks of %(subject)s are held until somebody confirms them.",
                alarm.number,
            )
        case Kind.BRIDGE_AWAY:
            text = _("The bridge %(subject)s is out of contact: devices aren't heard, locks from trial ends wait.")
        case Kind.SWEEP_LATE:
            text = _("The sweep %(subject)s is late: look at worker and beat.")
        case Kind.SWEEP_FAILED:
            text = _("The last run of the sweep %(subject)s failed.")
        case Kind.SWEEP_OFF:
            text = _("%(subject)s is switched off in the schedule: nothing that it does happens.")
        case Kind.WORK_OVERDUE:
            text, subject = _("%(subject)s: work that is due isn't done."), str(DUE.get(subject, subject))
        case Kind.DEAD_ROWS:
            text, subject = _("%(subject)s: %(number)s."), str(KINDS[subject].word) if subject in KINDS else subject
        case Kind.PLAN_CANT_START:
            text = ngettext(
                "%(number)s trial is kept for up to 24 h: its included plan can't start. Mend the plan.",
                "%(number)s trials are kept for up to 24 h: their included plan can't start. Mend the plan.",
                alarm.number,
            )
    return text % {"number": number, "subject": subject}
