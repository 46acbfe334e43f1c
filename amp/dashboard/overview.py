"""The first page, composed from counted figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, npgettext

from amp.alarms.watch import open_alarms
from amp.alarms.words import tell
from amp.dashboard import charts, links
from amp.dashboard.brakes import brakes_on
from amp.dashboard.figures import Figures, read_figures
from amp.dashboard.start import first_steps
from amp.foundation import clock
from amp.foundation.access import Action, may_anywhere, reading_zone
from amp.foundation.models import User
from amp.operations.overview import sweep_lines
from devices.models import Device
from devices.models.service import STATE_CHOICES

STATES = ("PENDING", "TRIAL", "ACTIVE", "EXPIRED")
LATER_STATES = ("FREE", "TERMINATED")
"""Shown where there are any."""


class Tile(NamedTuple):
    """One number; `tone` is a colour with a meaning where it wants attention. A note may lead elsewhere."""

    title: str
    number: int
    note: str
    url: str
    tone: str = ""
    note_url: str = ""


class Sweep(NamedTuple):
    """One sweep as platform staff see it: a word, its state for the badge, and when it last ran."""

    name: str
    word: str
    state: str
    at: datetime
    found: int


def overview(user: User) -> dict[str, Any]:
    """Context of the first page in the scope of `user`: as many queries for a million devices as for one."""
    platform = may_anywhere(user, Action.OPERATE_PLATFORM)
    ours = {
        "brakes_on": brakes_on(),
        "alarms": [tell(alarm) for alarm in open_alarms()] if platform else [],
        "sweeps": _sweeps(clock.wall()) if platform else [],
    }
    if not Device.objects.exists():
        return {"steps": first_steps(), **ours}
    figures, now, zone = read_figures(user), clock.now(), reading_zone(user)
    pictures = [
        charts.expiring(figures, now=now, zone=zone),
        charts.renewals(figures, now=now, zone=zone),
        *(charts.revenue(figures, now=now, zone=zone, currency=each) for each in charts.currencies(figures)),
    ]
    return {
        "figures": figures,
        "tiles": _tiles(figures),
        "states": _states(figures),
        "charts": pictures,
        "drawn": {chart.key: chart.drawn for chart in pictures},
        **ours,
    }


def _tiles(figures: Figures) -> list[Tile]:
    soon, exceptions = figures.of("ends_soon"), figures.of("exceptions")
    failed, online = figures.of("commands", "failed"), figures.of("online")
    return [
        Tile(_("Online now"), online, npgettext("below a number", "device", "devices", online), links.devices_online()),
        Tile(
            _("End within 30 days"),
            soon,
            npgettext("below a number", "service", "services", soon),
            links.services_ending_soon(),
            "amber" if soon else "",
        ),
        Tile(
            _("Commands waiting"),
            figures.of("commands", "waiting"),
            _("%(n)s failed in 7 days") % {"n": f"{failed:,}"},
            links.commands("waiting"),
            "red" if failed else "",
            links.commands("failed"),
        ),
        Tile(
            _("Payment exceptions"),
            exceptions,
            ngettext("waits for a person", "wait for a person", exceptions)
            if exceptions
            else _("nothing waits for you"),
            links.open_exceptions(),
            "red" if exceptions else "",
        ),
    ]


def _states(figures: Figures) -> list[dict[str, Any]]:
    numbers, words = figures.buckets("services"), dict(STATE_CHOICES)
    shown = [*STATES, *(state for state in LATER_STATES if numbers.get(state))]
    total = sum(numbers.get(state, 0) for state in shown)
    return [
        {
            "state": state,
            "word": words[state],
            "number": numbers.get(state, 0),
            "share": f"{100 * numbers.get(state, 0) / total:.2f}" if total else "0",
            "url": links.devices_in_state(state),
        }
        for state in shown
    ]


def _sweeps(wall: datetime) -> list[Sweep]:
    """Those on the schedule, that failed or are late first."""
    return [
        Sweep(line.run.name, line.word, line.state, line.run.finished_at or line.run.started_at, line.run.found)
        for line in sweep_lines(wall=wall)
        if line.every
    ]
