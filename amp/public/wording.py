"""Dates and lengths of time as an end user reads them: whole words, in the zone of the device's enterprise."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

HOUR = 3_600


def long_day(at: datetime, zone: ZoneInfo) -> str:
    """ "14 March 2027"."""
    # Translators: a date without its time, in Django's format characters
    return date_format(at.astimezone(zone), pgettext("date format", "j F Y"), use_l10n=False)


def long_moment(at: datetime, zone: ZoneInfo) -> str:
    """ "14 March 2027, 09:05"."""
    # Translators: a date with its time, in Django's format characters
    return date_format(at.astimezone(zone), pgettext("date format", "j F Y, H:i"), use_l10n=False)


def short_time(at: datetime, zone: ZoneInfo) -> str:
    """ "09:05"."""
    return date_format(at.astimezone(zone), "H:i", use_l10n=False)


def time_left(left: timedelta) -> str:
    """Whole days, then whole hours: "12 days left", "5 hours left"; never rounded up."""
    if left >= timedelta(days=1):
        return ngettext("%(days)d day left", "%(days)d days left", left.days) % {"days": left.days}
    hours = int(left.total_seconds() // HOUR)
    if hours:
        return ngettext("%(hours)d hour left", "%(hours)d hours left", hours) % {"hours": hours}
    return _("Less than an hour left")


def hours(seconds: float) -> str:
    """Online time in hours, to one decimal: "2.5"; people count a trial in those."""
    return f"{int(seconds / HOUR * 10) / 10:g}"


def online_time(seconds: int) -> str:
    """A threshold: "10 hours", "45 minutes", "30 seconds"."""
    if seconds >= HOUR:
        whole = seconds // HOUR if seconds % HOUR == 0 else 2  # "1.5 hours" takes the plural
        return ngettext("%(hours)s hour", "%(hours)s hours", whole) % {"hours": hours(seconds)}
    if seconds >= 60:
        return ngettext("%(minutes)d minute", "%(minutes)d minutes", seconds // 60) % {"minutes": seconds // 60}
    return ngettext("%(seconds)d second", "%(seconds)d seconds", seconds) % {"seconds": seconds}
