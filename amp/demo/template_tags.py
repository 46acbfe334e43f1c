"""Template tags: the demo's clock bar in pages of the admin; empty in any other mode."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from amp.demo.clock_bar import clock_bar
from amp.foundation import clock

register = template.Library()


@register.inclusion_tag("demo/clock_bar.html", takes_context=True)
def demo_clock_bar(context: dict[str, Any]) -> dict[str, Any]:
    """The product's time with buttons that let it pass; nothing outside demo mode."""
    if not settings.IS_DEMO:
        return {}
    request = context["request"]
    return {
        "clock": clock_bar(now=clock.now(), shift=clock.shift()),
        "csrf_token": context.get("csrf_token"),
        "next": request.get_full_path(),
    }
