"""Imports: upload, preview, confirm, progress, results. Each step changes at most one import (F92, X4)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, signed_in
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import moment
from devices.forms.import_words import column_word, problem_sentence
from devices.forms.imports import ConfirmForm, DeviceFileForm, UploadForm, ValidityFileForm
from devices.models import Import, ImportKind, ImportMode, ImportRow, ImportState, RowStatus
from devices.services.import_judging import moment_of
from devices.services.imports import (
    ALL_AT_ONCE,
    IN_REQUEST,
    cancel_import,
    retry_import,
    same_file_before,
    stage_import,
    start_import,
)
from devices.sheets import MAX_BYTES, SheetRefused

SHOWN_ROWS = 20
SHOWN_PROBLEMS = 50
NEEDED = {ImportKind.DEVICES.value: Action.REGISTER_DEVICES, ImportKind.VALIDITIES.value: Action.OPERATE_DEVICES}
FORMS: dict[ImportKind, type[UploadForm]] = {
    ImportKind.DEVICES: DeviceFileForm,
    ImportKind.VALIDITIES: ValidityFileForm,
}
TITLES = {
    ImportKind.DEVICES: gettext_lazy("Register devices from a file"),
    ImportKind.VALIDITIES: gettext_lazy("Set SIM and RTK validity from a file"),
}
STATE_TONES = {"READY": "amber", "RUNNING": "blue", "DONE": "green", "REFUSED": "red", "FAILED": "red"}
COLUMNS = {
    ImportKind.DEVICES.value: ("key", "serial", "name", "iccid", "product"),
    ImportKind.VALIDITIES.value: ("key", "service", "from", "until", "product"),
}


@needs(Action.REGISTER_DEVICES)
def import_devices(request: HttpRequest) -> HttpResponse:
    """The file of devices: read, checked and kept; nothing is registered yet."""
    return _upload(request, ImportKind.DEVICES)


@needs(Action.OPERATE_DEVICES)
def import_validities(request: HttpRequest) -> HttpResponse:
    """The file of SIM and RTK validities: read, checked and kept; nothing is set yet."""
    return _upload(request, ImportKind.VALIDITIES)


@needs(Action.VIEW)
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: what it would do, how far it is, what it did."""
    job = found(Import.objects.select_related("enterprise", "product"), pk)
    return _show(request, job)


@needs(Action.VIEW)
def import_status(request: HttpRequest, pk: int) -> HttpResponse:
    """What the page asks while the import runs."""
    job = found(Import.objects.all(), pk)
    return JsonResponse({"state": job.state, **_progress(job)})


@require_POST
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Do what was shown."""
    job = _job(request, pk)
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        return _show(request, job, [str(each) for errors in form.errors.values() for each in errors])
    mode = ImportMode(form.cleaned_data["mode"])
    try:
        start_import(job=job, mode=mode, actor=actor(request), now=clock.now(), wall=clock.wall())
    except Refused as refused:
        return _show(request, job, [problem.message for problem in refused.problems])
    return _back(job)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Throw the preview away, or stop where it is."""
    job = _job(request, pk)
    cancel_import(job=job, actor=actor(request), now=clock.now(), wall=clock.wall())
    done(request, _("The import is cancelled. What it had done stays done."))
    return _back(job)


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on after a fault."""
    job = _job(request, pk)
    retry_import(job=job, actor=actor(request), now=clock.now(), wall=clock.wall())
    return _back(job)


def _upload(request: HttpRequest, kind: ImportKind) -> HttpResponse:
    form = FORMS[kind](request.POST or None, request.FILES or None, user=signed_in(request))
    problems: list[tuple[int, str]] = []
    if request.method == "POST" and form.is_valid():
        ensure(request, NEEDED[kind.value], form.cleaned_data["enterprise"])
        try:
            return _back(_stage(request, kind, form.cleaned_data))
        except SheetRefused as refused:
            problems = [(each.line, problem_sentence(each.code, each.arguments)) for each in refused.problems]
    return page(
        request,
        "devices/import_upload.html",
        TITLES[kind],
        crumbs=[_list()],
        form=form,
        problems=problems,
        kind=kind.value,
        in_request=IN_REQUEST,
        status=422 if problems else 200,
    )


def _stage(request: HttpRequest, kind: ImportKind, given: dict[str, Any]) -> Import:
    file = given["file"]
    return stage_import(
        kind=kind,
        enterprise=given["enterprise"],
        product=given["product"],
        file_name=file.name,
        content=file.read(MAX_BYTES + 1),
        why=given.get("why", ""),
        actor=actor(request),
        now=clock.now(),
        wall=clock.wall(),
    )


def _show(request: HttpRequest, job: Import, refusals: list[str] | None = None) -> HttpResponse:
    total = job.rows_new + job.rows_done
    return page(
        request,
        "devices/import.html",
        job.file_name,
        crumbs=[_list()],
        job=job,
        tone=STATE_TONES.get(job.state, "grey"),
        refusals=refusals or [],
        bad=_bad(job),
        headers=[column_word(name) for name in COLUMNS[job.kind]],
        rows=_rows(job),
        shown_rows=SHOWN_ROWS,
        left_out=", ".join(job.left_out),
        earlier=same_file_before(job) if job.state == ImportState.READY.value else None,
        all_possible=not job.rows_bad and total <= ALL_AT_ONCE,
        in_request=total <= IN_REQUEST,
        may_act=may(signed_in(request), NEEDED[job.kind], job.enterprise),
        progress=_progress(job),
        counted=job.rows_new if job.state == ImportState.READY.value else job.rows_done,
        again=reverse(
            "admin:devices_import" if job.kind == ImportKind.DEVICES.value else "admin:devices_import_validities"
        ),
        status=422 if refusals else 200,
    )


def _rows(job: Import) -> list[tuple[int, list[str]]]:
    """The first rows as they would be imported, or were."""
    wanted = RowStatus.NEW if job.state == ImportState.READY.value else RowStatus.DONE
    rows = ImportRow.objects.filter(job=job, status=wanted.value).order_by("line")[:SHOWN_ROWS]
    columns = COLUMNS[job.kind]
    return [(line, [_cell(name, values) for name in columns]) for line, values in rows.values_list("line", "values")]


def _cell(name: str, values: dict[str, str]) -> str:
    if name in {"from", "until"}:
        return moment(moment_of(values.get(name, "")))
    return values.get(name) or "—"


def _bad(job: Import) -> list[dict[str, Any]]:
    rows = ImportRow.objects.filter(job=job, status=RowStatus.BAD.value).order_by("line")[:SHOWN_PROBLEMS]
    return [
        {
            "line": line,
            "column": column_word(column),
            "value": values.get(column, ""),
            "problem": problem_sentence(*told),
        }
        for line, values, problems in rows.values_list("line", "values", "problems")
        for column, *rest in problems
        for told in [(rest[0], rest[1:])]
    ]


def _progress(job: Import) -> dict[str, int]:
    handled = job.rows_total - job.rows_new
    share = 100 * handled // job.rows_total if job.rows_total else 100
    return {"handled": handled, "done": job.rows_done, "total": job.rows_total, "share": share}


def _job(request: HttpRequest, pk: int) -> Import:
    job = found(Import.objects.select_related("enterprise", "product"), pk)
    ensure(request, NEEDED[job.kind], job.enterprise)
    return job


def _back(job: Import) -> HttpResponse:
    return redirect("admin:devices_import_change", job.pk)


def _list() -> Crumb:
    return (_("Imports"), reverse("admin:devices_import_changelist"))
