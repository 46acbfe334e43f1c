"""The audit's pages: a list without an end, one event, and the export. They read; no record can be changed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from amp.audit.entries import entries_of
from amp.audit.export import TITLES, cells_of
from amp.audit.filters import AuditFilterSet, fields_of
from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.lists.exporting import XLSX, Export
from amp.foundation.lists.keyset import InvalidCursor, Ordering, Page, first_page, page_after, page_before
from amp.foundation.lists.sheets import XLSX_ROWS, csv_pieces, write_xlsx
from amp.foundation.models import Event
from amp.foundation.pages import found, needs, page, refuse

PER_PAGE = 50
NEWEST_FIRST = Ordering("newest", gettext_lazy("Newest first"))
CURSORS = ("after", "before")


@require_safe
@needs(Action.VIEW)
def audit(request: HttpRequest) -> HttpResponse:
    """Events of the reader's enterprises, newest first, a page at a time."""
    chosen = AuditFilterSet(request.GET, queryset=Event.objects.all())
    problems = list(chosen.problems(reserved=CURSORS))
    rows = chosen.qs if not problems else Event.objects.none()
    try:
        keys = _page(rows, request)
    except InvalidCursor:
        return redirect(_address(request))
    pks = [pk for _value, pk in keys.keys]
    events = Event.objects.filter(pk__in=pks).select_related("enterprise").order_by("-pk")
    return page(
        request,
        "admin/amp_audit.html",
        _("Audit"),
        amp_section=_("System"),
        entries=entries_of(events),
        form=chosen.form,
        fields=fields_of(chosen),
        problems=problems,
        is_filtered=bool(chosen.given),
        newer=_address(request, before=pks[0]) if keys.has_previous else "",
        older=_address(request, after=pks[-1]) if keys.has_next else "",
        export=f"{reverse('admin:audit_export')}?{urlencode(_filters(request))}",
        status=400 if problems else 200,
    )


@require_safe
@needs(Action.VIEW)
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """One event with every fact before and after."""
    event = found(Event.objects.select_related("enterprise"), pk)
    (told,) = entries_of([event])
    return page(
        request,
        "admin/amp_audit_entry.html",
        told.what,
        amp_section=_("System"),
        crumbs=[(_("Audit"), reverse("admin:audit"))],
        entry=told,
        event=event,
    )


@require_POST
@needs(Action.VIEW)
def export(request: HttpRequest) -> HttpResponse:
    """What the filters leave as CSV or XLSX; that it left is an event itself."""
    chosen = AuditFilterSet(request.GET, queryset=Event.objects.all())
    if list(chosen.problems()):
        raise PermissionDenied
    rows = chosen.qs
    if request.POST.get("format") != "xlsx":
        export = Export(request, "foundation.event", "csv")
        pieces = csv_pieces(_titles(), _counted(export, cells_of(rows)))
        return _named(StreamingHttpResponse(_closing(export, pieces), content_type="text/csv; charset=utf-8"), "csv")
    if rows.order_by()[: XLSX_ROWS + 1].count() > XLSX_ROWS:
        limit = f"{XLSX_ROWS:,}"
        sentence = _("An XLSX file holds at most %(n)s rows. Filter, or export as CSV.") % {"n": limit}
        refuse(request, ValueError(sentence))
        return redirect(_address(request))
    export = Export(request, "foundation.event", "xlsx")
    book = write_xlsx(str(_("Audit")), _titles(), cells_of(rows), counted=export.count)
    export.end()
    return _named(FileResponse(book, content_type=XLSX), "xlsx")


def _page(rows: QuerySet[Event], request: HttpRequest) -> Page:
    if cursor := request.GET.get("after"):
        return page_after(rows, NEWEST_FIRST, PER_PAGE, cursor)
    if cursor := request.GET.get("before"):
        return page_before(rows, NEWEST_FIRST, PER_PAGE, cursor)
    return first_page(rows, NEWEST_FIRST, PER_PAGE)


def _filters(request: HttpRequest) -> dict[str, Any]:
    return {name: value for name, value in request.GET.items() if value and name not in CURSORS}


def _address(request: HttpRequest, **cursor: int) -> str:
    return f"{reverse('admin:audit')}?{urlencode({**_filters(request), **cursor})}"


def _titles() -> list[str]:
    return [str(title) for title in TITLES]


def _counted(export: Export, lines: Iterator[Any]) -> Iterator[Any]:
    for cells in lines:
        export.count()
        yield cells


def _closing(export: Export, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The end is recorded even where the reader goes away."""
    try:
        yield from pieces
    finally:
        export.end()


def _named(answer: Any, ending: str) -> HttpResponse:
    answer["Content-Disposition"] = f'attachment; filename="audit-{localtime(clock.now()):%Y%m%d-%H%M}.{ending}"'
    answer["Cache-Control"] = "no-store"
    return answer
