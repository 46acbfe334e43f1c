"""How states, money, moments and ids look on every page, once.

State is never colour alone: a badge is a dot and a word. Moments are shown in the time zone that is active (the
reader's, or the device's own where a page opens one), in the reader's language.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext
from django.utils.translation import gettext as _

from amp.foundation.money import format_money
from amp.foundation.scoping import author_in

register = template.Library()

TONES: dict[str, str] = {
    # green runs, amber soon or waits, red stopped, blue information, grey history
    "ACTIVE": "green",
    "FREE": "green",
    "ONLINE": "green",
    "PUBLISHED": "green",
    "VERIFIED": "green",
    "FULFILLED": "green",
    "APPLIED": "green",
    "CONFIRMED": "green",
    "UNLOCKED": "green",
    "ON": "green",
    "PAID": "green",
    "SUCCEEDED": "green",
    "PROCESSING": "blue",
    "APPROVED": "blue",
    "REQUESTED": "amber",
    "TRIAL": "blue",
    "SENT": "blue",
    "ACKED": "blue",
    "QUEUED": "blue",
    "CREATED": "blue",
    "DRAFT": "amber",
    "WAITING": "amber",
    "PARTIALLY_FULFILLED": "amber",
    "UNKNOWN_OUTCOME": "amber",
    "OPEN": "amber",
    "EXPIRED": "red",
    "LOCKED": "red",
    "FAILED": "red",
    "UNAPPLIED": "red",
    "STALE": "red",
}
"""Tone of each state word; what isn't named is grey."""


def badge_html(word: Any, tone: str = "grey", title: Any = "") -> SafeString:
    """A dot and a word; `tone` is green, amber, red, blue or grey."""
    return format_html('<span class="amp-badge amp-{}" title="{}">{}</span>', tone, title, word)


@register.simple_tag
def badge(word: Any, state: str = "", tone: str = "") -> SafeString:
    """Badge of a state, its tone taken from `TONES` unless given."""
    return badge_html(word, tone or TONES.get(str(state), "grey"))


@register.simple_tag
def money(minor: int | None, currency: str) -> str:
    """Minor units as people read them; a dash where there is no amount."""
    return "—" if minor is None else format_money(minor, currency, get_language() or "en")


@register.filter
def author(row: Any) -> str:
    """Who made the row; of an enterprise above, nobody's name (E1, R6)."""
    name = author_in(row.enterprise_id, row.created_by)
    return _("the enterprise above") if name is None else actor_name(name)


@register.filter
def day(value: datetime | None) -> str:
    """Date in the active zone: "2 Feb 2027"."""
    # Translators: a date without its time, in Django's format characters
    return date_format(timezone.localtime(value), pgettext("date format", "j M Y"), use_l10n=False) if value else "—"


@register.filter
def moment(value: datetime | None) -> str:
    """Date and minute in the active zone: "2 Feb 2027, 00:00"."""
    # Translators: a date with its time, in Django's format characters
    form = pgettext("date format", "j M Y, H:i")
    return date_format(timezone.localtime(value), form, use_l10n=False) if value else "—"


@register.filter
def second(value: datetime | None) -> str:
    """Date and second in the active zone, for timelines."""
    form = pgettext("date format", "j M Y, H:i:s")
    return date_format(timezone.localtime(value), form, use_l10n=False) if value else "—"


@register.filter
def second_beside(value: datetime | None, other: datetime | None) -> str:
    """The second of a moment that stands beside another one: its date only where that differs."""
    if value and other and timezone.localtime(value).date() == timezone.localtime(other).date():
        return date_format(timezone.localtime(value), "H:i:s", use_l10n=False)
    return second(value)


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    """A length of time in its two largest units: "1,204 h", "2 h 4 min", "5 min 3 s"."""
    if seconds is None:
        return "—"
    total = int(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 100 or (hours and not minutes):
        text = _("{hours} h").format(hours=f"{hours:,}")
    elif hours:
        text = _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    elif minutes and left:
        text = _("{minutes} min {seconds} s").format(minutes=minutes, seconds=left)
    elif minutes:
        text = _("{minutes} min").format(minutes=minutes)
    else:
        text = _("{seconds} s").format(seconds=left)
    return text.replace(" ", "\N{NO-BREAK SPACE}")


@register.filter
def grouped(number: int | None) -> str:
    """A count as people read it, the same in every language: "20,001"."""
    return "—" if number is None else f"{number:,}"


@register.filter
def took(began: datetime | None, ended: datetime | None) -> str:
    """How long something lasted; below ten seconds with a tenth: "0.4 s"."""
    if began is None or ended is None:
        return "—"
    return brief(max(ended - began, timedelta()).total_seconds())


@register.filter
def brief(seconds: float | None) -> str:
    """A length of time that is short as a rule; below ten seconds with a tenth: "0.4 s"."""
    if seconds is None:
        return "—"
    if seconds >= 10:
        return duration(seconds)
    tenths = max(seconds, 0.1 if seconds else 0)
    text = _("{seconds} s").format(seconds=number_format(tenths, decimal_pos=1))
    return text.replace(" ", "\N{NO-BREAK SPACE}")


@register.filter
def long_duration(seconds: int | None) -> str:
    """Days and hours, for cache times: "7 days", "1 day 12 h"; "once, now" for nothing (A20)."""
    if seconds is None:
        return "—"
    if seconds == 0:
        return _("try once")
    days, rest = divmod(seconds, 86_400)
    parts = [ngettext("%(n)d day", "%(n)d days", days) % {"n": days}] if days else []
    if rest:
        parts.append(str(duration(rest)))
    return " ".join(parts)


@register.filter
def whole_hours(seconds: int | None) -> int | None:
    """A length of more than a day without its minutes, which nobody counts then."""
    return seconds - seconds % 3_600 if seconds and seconds >= 86_400 else seconds


@register.filter
def microseconds(value: int | None) -> str:
    """Online time, which is kept in microseconds."""
    return duration((value or 0) / 1_000_000)


@register.simple_tag
def code(text: Any) -> SafeString:
    """An id: monospaced, and one click copies it."""
    return code_html(text)


def code_html(text: Any) -> SafeString:
    """The same for lists."""
    if not text:
        return format_html('<span class="amp-muted">{}</span>', "—")
    return format_html('<span class="amp-code" data-copy title="{}">{}</span>', _("Click to copy"), text)


@register.filter
def months(count: int) -> str:
    """ "12 months"."""
    return ngettext("%(n)d month", "%(n)d months", count) % {"n": count}


ACTORS = {
    "system": gettext_lazy("AMP itself"),
    "sweep": gettext_lazy("AMP, on time"),
    "device": gettext_lazy("the device"),
    "gateway": gettext_lazy("the gateway"),
    "renewal page": gettext_lazy("renewal page"),
    "public page": gettext_lazy("renewal page"),
    "command line": gettext_lazy("command line"),
    "demo": gettext_lazy("the demo"),
    "demo page": gettext_lazy("the demo"),
    "test clock": gettext_lazy("the test clock"),
}
KEY = "API key "
"""Who acts without being a person; a person is named by the address."""


@register.filter
def actor_name(actor: str) -> str:
    """Who did it, in the reader's words."""
    if actor.startswith(KEY):
        return _("API key %(prefix)s") % {"prefix": actor.removeprefix(KEY)}
    return str(ACTORS.get(actor, actor))


def actors_called(word: str) -> list[str]:
    """How those are stored whom readers know by that word, in their language or as it is stored."""
    meant = word.casefold()
    return [word, *(actor for actor, name in ACTORS.items() if str(name).casefold() == meant and actor != word)]
