"""Alerts > Inbox: what members read in the product, and how many entries they haven't read (N8)."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from alerts.models import InboxEntry
from alerts.services.digests import link_to, sentence
from alerts.services.inbox import SHOWN, mark_read, newest, unread
from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import needs, page, signed_in


class Shown(NamedTuple):
    """An entry as it is read."""

    entry: InboxEntry
    words: str
    link: str
    is_new: bool


@needs(Action.VIEW)
def inbox(request: HttpRequest) -> HttpResponse:
    """The newest entries of the enterprises in reach; what is new is marked."""
    entries = newest(signed_in(request))
    return page(
        request,
        "alerts/inbox.html",
        _("Inbox"),
        amp_section=_("Alerts"),
        entries=[_shown(entry, is_new) for entry, is_new in entries],
        unread=sum(is_new for _entry, is_new in entries),
        most=SHOWN,
    )


@require_POST
@needs(Action.VIEW)
def read_all(request: HttpRequest) -> HttpResponse:
    """Everything that is shown has been read."""
    mark_read(signed_in(request), now=clock.now())
    return redirect("admin:alert_inbox")


@require_safe
@needs(Action.VIEW)
def count_unread(request: HttpRequest) -> HttpResponse:
    """For the number beside the menu's entry; asked for by the browser, so that no page waits for it."""
    answer = JsonResponse({"unread": unread(signed_in(request))})
    answer["Cache-Control"] = "private, max-age=30"
    return answer


def _shown(entry: InboxEntry, is_new: bool) -> Shown:
    count: dict[str, Any] = {"service": entry.service, "days": entry.days, "devices": entry.devices}
    return Shown(entry, sentence(count), link_to(entry.service, entry.days, entry.enterprise_id), is_new)
