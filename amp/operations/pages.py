"""Pages of operations, for platform administrators alone: what keeps the product moving, and how often (X10)."""

from __future__ import annotations

import logging
from typing import Any

from django import forms
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from django_celery_beat.models import PeriodicTask
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from amp.alarms.facts import read_facts
from amp.alarms.rules import alarms
from amp.alarms.words import tell
from amp.dead import dead_work, retry_dead
from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.models import SweepRun
from amp.foundation.pages import actor, done, needs, page, refuse, show
from amp.foundation.services.refusals import Refused
from amp.operations import waiting
from amp.operations.limits import LEAST, MOST
from amp.operations.overview import ages, history, schedule_lines, sweep_lines
from amp.operations.queues import read_queues, read_workers
from amp.operations.schedules import change_schedule, run_now, short_name
from amp.schedule import interval_of
from devices.models import Bridge, Command
from devices.models.commands import OPEN_STATUSES

log = logging.getLogger(__name__)


class ScheduleForm(forms.Form):
    """Interval, switch, and the words that confirm what breaks a promise."""

    seconds = forms.IntegerField(
        label=gettext_lazy("Runs every … seconds"),
        min_value=LEAST,
        max_value=MOST,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )
    enabled = forms.BooleanField(label=gettext_lazy("On"), required=False, widget=UnfoldBooleanSwitchWidget)
    typed = forms.CharField(
        label=gettext_lazy("Confirmation"),
        required=False,
        max_length=120,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Only where a promise would be broken: type the name of the task."),
    )


@needs(Action.OPERATE_PLATFORM)
def operations(request: HttpRequest) -> HttpResponse:
    """Ages of sweeps and of the oldest due work first, then sweeps, bridges, and rows that wait."""
    now, wall = clock.now(), clock.wall()
    lines = sweep_lines(wall=wall)
    open_commands = Command.objects.filter(status__in=OPEN_STATUSES)
    return page(
        request,
        "admin/amp_operations.html",
        _("Operations"),
        now=now,
        wall=wall,
        ages=ages(lines, now=now),
        alarms=[tell(alarm) for alarm in alarms(read_facts(now=now), now=now, wall=wall)],
        sweeps=lines,
        bridges=Bridge.objects.order_by("name"),
        commands=open_commands.aggregate(
            waiting=Count("pk", filter=Q(status="PENDING", hold=None)),
            sent=Count("pk", filter=Q(status="SENT")),
        ),
        waits=waiting.waiting(),
        dead=dead_work(),
    )


@require_POST
@needs(Action.OPERATE_PLATFORM)
def retry(request: HttpRequest) -> HttpResponse:
    """Have given-up work tried again: one row, or all of its kind (F15)."""
    pk = request.POST.get("pk", "")
    tried = retry_dead(
        request.POST.get("kind", ""),
        pk=(int(pk) if pk.isascii() and pk.isdecimal() and len(pk) <= 18 else 0) if pk else None,
        actor=actor(request),
        now=clock.now(),
        wall=clock.wall(),
    )
    if tried:
        message = ngettext("%(n)d row is tried again.", "%(n)d rows are tried again.", tried)
        done(request, message % {"n": tried})
    else:
        refuse(request, Refused.because(_("Nothing is left to try again: somebody else was quicker.")))
    return redirect("admin:operations")


@needs(Action.OPERATE_PLATFORM)
def sweep(request: HttpRequest, name: str) -> HttpResponse:
    """One sweep with its last runs that found something or failed."""
    run = get_object_or_404(SweepRun, name=name)
    crumbs = [(_("Operations"), reverse("admin:operations"))]
    return page(request, "admin/amp_sweep.html", run.name, crumbs=crumbs, run=run, history=history(run))


@needs(Action.OPERATE_PLATFORM)
def schedules(request: HttpRequest) -> HttpResponse:
    """Every row of the schedule: how often, when last, when next."""
    crumbs = [(_("Operations"), reverse("admin:operations"))]
    return page(request, "admin/amp_schedules.html", _("Schedules"), crumbs=crumbs, lines=schedule_lines())


@needs(Action.OPERATE_PLATFORM)
def schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Change one row."""
    row = get_object_or_404(PeriodicTask.objects.select_related("interval"), pk=pk)
    form = ScheduleForm(
        request.POST if request.method == "POST" else None,
        initial={"seconds": interval_of(row), "enabled": row.enabled},
    )
    if row.interval is None:
        del form.fields["seconds"]
    if request.method == "POST" and form.is_valid() and _is_changed(request, form, pk):
        return redirect("admin:operations_schedules")
    crumbs = [
        (_("Operations"), reverse("admin:operations")),
        (_("Schedules"), reverse("admin:operations_schedules")),
    ]
    intro = _("Task %(task)s. Beat takes a change within seconds.") % {"task": short_name(row.task)}
    words: dict[str, Any] = {"intro": intro, "submit": _("Save")}
    return page(request, "admin/amp_schedule.html", _(row.name), crumbs=crumbs, form=form, row=row, **words)


def _is_changed(request: HttpRequest, form: ScheduleForm, pk: int) -> bool:
    wanted: dict[str, Any] = {"seconds": form.cleaned_data.get("seconds"), "enabled": form.cleaned_data["enabled"]}
    try:
        changed = change_schedule(
            pk=pk, **wanted, typed=form.cleaned_data["typed"], actor=actor(request), now=clock.now()
        )
    except Refused as refused:
        show(form, refused)
        return False
    done(request, _("The schedule was changed.") if changed else _("Nothing was changed."))
    return True


@require_POST
@needs(Action.OPERATE_PLATFORM)
def run_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Wake a task once, now."""
    try:
        run_now(pk=pk, actor=actor(request), now=clock.now())
        done(request, _("The task was woken; its line on the operations page tells what it did."))
    except PeriodicTask.DoesNotExist as missing:
        raise Http404 from missing
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:operations_schedules")


@needs(Action.OPERATE_PLATFORM)
def queues(request: HttpRequest) -> HttpResponse:
    """What waits in Redis and who takes it; that Redis is down is an answer too."""
    context: dict[str, Any] = {"is_down": False}
    try:
        context |= {"queues": read_queues(clock.wall()), "workers": read_workers()}
    except Exception as away:  # noqa: BLE001 (whatever the broker's driver raises)
        log.warning("The queues could not be read: %s", type(away).__name__)
        context = {"is_down": True}
    heart = SweepRun.objects.filter(name="worker_heartbeat").first()
    crumbs = [(_("Operations"), reverse("admin:operations"))]
    return page(request, "admin/amp_queues.html", _("Queues"), crumbs=crumbs, heart=heart, **context)
