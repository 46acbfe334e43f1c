"""How money and states look in the lists of billing."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.translation import get_language

from amp.foundation.money import format_money
from amp.foundation.templatetags.amp_display import TONES, badge_html

WAITING = {"PENDING": "amber", "UNKNOWN": "amber"}


def money_cell(minor: int | None, currency: str) -> str:
    """Right-aligned, tabular figures."""
    shown = "—" if minor is None else format_money(minor, currency, get_language() or "en")
    return format_html('<span class="amp-money">{}</span>', shown)


def status_badge(row: Any) -> str:
    """PENDING waits here; elsewhere it is only young."""
    return badge_html(row.get_status_display(), WAITING.get(row.status) or TONES.get(row.status, "grey"))
