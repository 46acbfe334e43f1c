"""The product's time as people read it, with the steps by which the demo lets it pass."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


class ClockBar(NamedTuple):
    """The product's time, how far it is from real time, and (step, label) of each button."""

    told: str
    shift: str
    steps: tuple[tuple[str, str], ...]
    is_shifted: bool


def clock_bar(*, now: datetime, shift: timedelta) -> ClockBar:
    """Words for `now`, the product's time, and `shift`, its distance from real time."""
    return ClockBar(
        told=f"{now:%Y-%m-%d %H:%M} UTC",
        shift=told_shift(shift),
        steps=(
            ("10m", _("10 minutes")),
            ("1d", _("1 day")),
            ("30d", _("30 days")),
            ("365d", _("1 year")),
        ),
        is_shifted=bool(shift),
    )


def told_shift(shift: timedelta) -> str:
    """Such as "30 days ahead of real time", in its largest unit that says enough."""
    if not shift:
        return _("real time")
    length = abs(shift)
    if length >= timedelta(days=2):
        days = round(length / timedelta(days=1))
        told = ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    elif length >= timedelta(hours=2):
        hours = round(length / timedelta(hours=1))
        told = ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    else:
        minutes = round(length / timedelta(minutes=1))
        told = ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    template = _("%(length)s ahead of real time") if shift > timedelta() else _("%(length)s behind real time")
    return template % {"length": told}
