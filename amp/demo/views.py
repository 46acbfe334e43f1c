"""The tour: a page that shows the simulated devices live, and buttons that move the clock and switch devices.

Only demo mode has these addresses, and the demo listens on loopback: nobody signs in here.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from amp.demo import stage
from amp.demo.clock_bar import clock_bar
from amp.demo.mail import letters
from amp.demo.notebook import read_notes
from amp.demo.tour import tour_of
from amp.foundation import clock
from amp.foundation.models.users import ROLE_CHOICES
from amp.foundation.scoping import system_scope
from amp.foundation.services import testclock
from amp.foundation.services.testclock import TestClockRefused
from amp.foundation.wakeups import wake

STEPS = {
    "5m": timedelta(minutes=5),
    "10m": timedelta(minutes=10),
    "1d": timedelta(days=1),
    "30d": timedelta(days=30),
    "365d": timedelta(days=365),
}
WOKEN = ("devices.tasks.advance_due_services", "billing.tasks.expire_orders")
ACTOR = "demo page"


@require_GET
@never_cache
def tour(request: HttpRequest) -> HttpResponse:
    """The page."""
    return render(request, "demo/tour.html", _context(request))


@require_GET
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """What changed since the version `since`: the clock, and new content where there is some."""
    context = _context(request)
    told = {"version": context["tour"].version, "clock": context["clock"].told, "shift": context["clock"].shift}
    if request.GET.get("since") != told["version"]:
        told["html"] = render_to_string("demo/live.html", context, request=request)
    return JsonResponse(told)


@require_GET
@never_cache
def mail(request: HttpRequest) -> HttpResponse:
    """What the demo would have sent."""
    folder = Path(settings.EMAIL_FILE_PATH)
    return render(request, "demo/mail.html", {"letters": letters(folder), "folder": folder})


@require_POST
def move_clock(request: HttpRequest) -> HttpResponse:
    """Let product time pass, or go back to real time; then back to where the button was."""
    step = request.POST.get("step", "")
    try:
        if step == "reset":
            testclock.reset(wall=clock.wall(), actor=ACTOR)
        elif step in STEPS:
            testclock.advance(STEPS[step], wall=clock.wall(), actor=ACTOR)
        else:
            return HttpResponse(_("Choose one of the steps on the page."), status=400, content_type="text/plain")
    except TestClockRefused as refused:
        return HttpResponse(str(refused), status=409, content_type="text/plain; charset=utf-8")
    for task in WOKEN:
        wake(task)
    return _back(request)


@require_POST
def switch(request: HttpRequest, device_id: int) -> HttpResponse:
    """Bring a simulated device online, or take it off."""
    running = stage.current()
    if running is None or running.simulator is None:
        text = _("The simulated devices run in `make demo` only.")
        return HttpResponse(text, status=409, content_type="text/plain; charset=utf-8")
    known = next((each for each in running.notes["devices"] if each["device_id"] == device_id), None)
    if known is None or known["mqtt_user"] not in running.simulator.devices:
        raise Http404
    if request.POST.get("step") == "on":
        running.simulator.go_online(known["mqtt_user"])
    else:
        running.simulator.go_offline(known["mqtt_user"])
    return _back(request)


def _context(request: HttpRequest) -> dict[str, Any]:
    running = stage.current()
    notes = running.notes if running else read_notes(settings.DEMO_DIR)
    if notes is None:
        raise Http404("The demo's data are not made yet.")
    role_names = dict(ROLE_CHOICES)
    now = clock.now()
    with system_scope():
        content = tour_of(notes, running, now=now)
    return {
        "tour": content,
        "clock": clock_bar(now=now, shift=clock.shift()),
        "logins": [{**login, "role_name": role_names[login["role"]]} for login in notes["logins"]],
        "mqtt_port": settings.DEMO_MQTT_PORT,
    }


def _back(request: HttpRequest) -> HttpResponseRedirect:
    """To the page of the button, if it is one of ours (F96)."""
    asked = request.POST.get("next", "")
    ours = asked.startswith("/") and url_has_allowed_host_and_scheme(asked, None)
    return HttpResponseRedirect(asked if ours else reverse("demo:tour"))
