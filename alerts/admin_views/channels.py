"""Alerts > Channels: which enterprise hears of its devices' ends by mail, in the product, by webhook (N8)."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from alerts.models import Channel, EnterpriseChannels
from alerts.models.notices import CHANNEL_CHOICES
from alerts.services.settings import OPTED_IN, announcing, asked_for, set_channels
from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise
from amp.foundation.pages import actor, done, ensure, found, needs, page, signed_in

PAGE = 50
NAMES = {channel: dict(CHANNEL_CHOICES)[channel.value] for channel in OPTED_IN}


class Choice(NamedTuple):
    """A channel, and whether it is on."""

    value: str
    name: Any
    since: Any


class Line(NamedTuple):
    """An enterprise with its channels."""

    enterprise: Enterprise
    choices: list[Choice]
    may_change: bool


@needs(Action.VIEW)
def channels(request: HttpRequest) -> HttpResponse:
    """Every enterprise in reach with its channels, a page at a time, in the order of the tree."""
    after = request.GET.get("after", "")
    rows = Enterprise.objects.filter(path__gt=after) if after else Enterprise.objects.all()
    shown = list(rows.order_by("path")[: PAGE + 1])
    known = {row.pk: asked_for(row) for row in EnterpriseChannels.objects.filter(enterprise__in=shown)}
    return page(
        request,
        "alerts/channels.html",
        _("Channels"),
        amp_section=_("Alerts"),
        lines=[_line(request, each, known.get(each.pk, {})) for each in shown[:PAGE]],
        next_after=shown[PAGE - 1].path if len(shown) > PAGE else "",
        is_anything_announced=bool(announcing().since),
    )


@require_POST
@needs(Action.EDIT_ENTERPRISE)
def change_channels(request: HttpRequest, pk: int) -> HttpResponse:
    """Save the channels of one enterprise."""
    enterprise = found(Enterprise.objects.all(), pk)
    ensure(request, Action.EDIT_ENTERPRISE, enterprise)
    chosen = request.POST.getlist("channels")
    if not set(chosen) <= {channel.value for channel in OPTED_IN}:
        raise PermissionDenied
    wanted = [Channel(each) for each in chosen]
    set_channels(enterprise=enterprise, channels=wanted, actor=actor(request), now=clock.now())
    done(request, _("The channels of %(enterprise)s were saved.") % {"enterprise": enterprise})
    return redirect("admin:alert_channels")


def _line(request: HttpRequest, enterprise: Enterprise, on: dict[Channel, Any]) -> Line:
    choices = [Choice(channel.value, NAMES[channel], on.get(channel)) for channel in OPTED_IN]
    return Line(enterprise, choices, may(signed_in(request), Action.EDIT_ENTERPRISE, enterprise))
