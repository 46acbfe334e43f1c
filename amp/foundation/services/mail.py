"""Mail to people: plain text with the same as HTML, in the reader's language; a dead mail server is an answer."""

from __future__ import annotations

import logging
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

log = logging.getLogger(__name__)


def send_mail(*, to: str, template: str, language: str, context: dict[str, Any]) -> str:
    """Send `mail/<template>.{subject.txt,txt,html}` in `language`. "" when it left, else why not, in short."""
    with translation.override(language):
        subject = " ".join(render_to_string(f"mail/{template}.subject.txt", context).split())
        message = EmailMultiAlternatives(
            subject, render_to_string(f"mail/{template}.txt", context).strip() + "\n", to=[to]
        )
        message.attach_alternative(render_to_string(f"mail/{template}.html", context), "text/html")
    try:
        message.send()
    except Exception as failed:  # noqa: BLE001 (SMTP fails in many ways; whoever asked is told, and may send it again)
        log.warning("A mail (%s) could not be sent: %s", template, type(failed).__name__)
        return f"{type(failed).__name__}: {failed}"[:200]
    return ""
