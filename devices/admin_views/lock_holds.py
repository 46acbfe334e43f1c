"""Device > Held locks: what the brakes hold, why and since when, and the decision with its number (P8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models import Count, F, Min, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, enterprises_where
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from devices.models import Command, HoldStatus, LockHold
from devices.services.lock_brakes import limits_now
from devices.services.lock_releases import cancel_held_locks, release_held_locks

SHOWN = 50
"""Holds of which the page tells all; older ones that are over stay in the audit."""
OVER = 10
SAMPLES = 5


class Shown(NamedTuple):
    """One hold on the page: how many it holds, since when the oldest, some devices, and what the reader may do."""

    hold: LockHold
    number: int
    oldest: datetime | None
    samples: list[tuple[int, str]]
    devices_url: str
    may_decide: bool


@needs(Action.VIEW)
def held_locks(request: HttpRequest) -> HttpResponse:
    """The same number of queries for one enterprise and for fifty."""
    rows = LockHold.objects.select_related("enterprise")
    holds = list(rows.exclude(status=HoldStatus.OVER.value).order_by("began_at", "pk")[:SHOWN])
    limits = limits_now()
    return page(
        request,
        "devices/held_locks.html",
        _("Held locks"),
        shown=_shown(request, holds),
        over=rows.filter(status=HoldStatus.OVER.value).order_by("-pk")[:OVER],
        limits=limits,
        settle_minutes=int(limits.settle.total_seconds()) // 60,
    )


@require_POST
@needs(Action.RELEASE_LOCKS)
def decide_hold(request: HttpRequest, pk: int) -> HttpResponse:
    """Release what is held, or cancel it; the record says who, and how many."""
    hold = found(LockHold.objects.select_related("enterprise"), pk)
    ensure(request, Action.RELEASE_LOCKS, hold.enterprise)
    decision = request.POST.get("decision")
    try:
        if decision == "release":
            number = release_held_locks(hold=hold, actor=actor(request), now=clock.now())
            done(request, ngettext("%(n)s lock is released.", "%(n)s locks are released.", number) % _n(number))
        elif decision == "cancel":
            number = cancel_held_locks(hold=hold, actor=actor(request), now=clock.now())
            done(request, ngettext("%(n)s lock is cancelled.", "%(n)s locks are cancelled.", number) % _n(number))
        else:
            raise Refused.because(_("Choose to release or to cancel."))
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:held_locks")


def _n(number: int) -> dict[str, str]:
    return {"n": f"{number:,}"}


def _shown(request: HttpRequest, holds: Sequence[LockHold]) -> list[Shown]:
    mine = set(enterprises_where(signed_in(request), Action.RELEASE_LOCKS)) if holds else set()
    commands = Command.objects.filter(hold__in=holds).order_by()
    counted = commands.values_list("hold").annotate(number=Count("pk"), oldest=Min("created_at"))
    numbers = {pk: (number, oldest) for pk, number, oldest in counted}
    samples = _samples(holds)
    return [
        Shown(
            hold=hold,
            number=numbers.get(hold.pk, (0, None))[0],
            oldest=numbers.get(hold.pk, (0, None))[1],
            samples=samples.get(hold.pk, []),
            devices_url=_devices(hold),
            may_decide=hold.status == HoldStatus.HOLDING.value and hold.enterprise_id in mine,
        )
        for hold in holds
    ]


def _samples(holds: Sequence[LockHold]) -> dict[int, list[tuple[int, str]]]:
    """The first devices of each hold, in one query."""
    place = Window(RowNumber(), partition_by=F("hold"), order_by=F("id").asc())
    rows = Command.objects.filter(hold__in=holds).annotate(place=place).filter(place__lte=SAMPLES)
    found_devices: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for hold_id, device_id, key in rows.order_by("id").values_list("hold_id", "device_id", "device__key"):
        found_devices[hold_id].append((device_id, key))
    return found_devices


def _devices(hold: LockHold) -> str:
    query = urlencode({"enterprise": hold.enterprise_id, "command": "held"})
    return f"{reverse('admin:devices_device_changelist')}?{query}"
