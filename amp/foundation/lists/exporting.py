"""Export of what a list shows: `Exportable` is the mixin for any admin of ours.

    class EventAdmin(Exportable, RecordAdmin):
        export_columns = (Column(_("event"), "kind"), Column(_("happened"), "happened_at"))

Its list gets an Export menu; the file holds what the list's filters leave, in the reader's scope and language. A POST,
for it writes to the audit who took which rows. `export_zone` is the path of the time zone that moments are written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, home_enterprise, may_anywhere
from amp.foundation.lists.columns import Column, Table, Value
from amp.foundation.lists.sheets import XLSX_ROWS, csv_pieces, write_xlsx
from amp.foundation.pages import actor, signed_in
from amp.foundation.services.exports import record_export_end, record_export_start

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Exportable:
    """Adds Export to an admin's list. Mix in before `MemberAdmin`."""

    export_columns: ClassVar[tuple[Column, ...]] = ()
    export_zone: ClassVar[str] = "enterprise__time_zone"

    def get_urls(self) -> list[URLPattern]:
        """One address more, below the list's."""
        admin: Any = self
        page = path("export/", admin.admin_site.admin_view(self.export), name=self._export_name())
        return [page, *super().get_urls()]  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, which knows where its export is."""
        address = f"{reverse(f'admin:{self._export_name()}')}?{request.GET.urlencode()}"
        context = {"amp_export": address, **(extra_context or {})}
        answer: HttpResponse = super().changelist_view(request, context)  # type: ignore[misc]
        return answer

    def export(self, request: HttpRequest) -> HttpResponse:
        """POST: the file, `format` csv or xlsx; its address carries the filters of the list."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not may_anywhere(signed_in(request), Action.VIEW):
            raise PermissionDenied
        rows = self._filtered(request)
        if rows is None:
            return self._back(request, _("Nothing was exported: mend the filters first."))
        if request.POST.get("format") == "xlsx":
            return self._xlsx(request, rows)
        return self._csv(request, rows)

    def _filtered(self, request: HttpRequest) -> Any:
        """Rows behind the list, None where its filters are refused."""
        admin: Any = self
        try:
            changelist = admin.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return None
        return None if getattr(changelist, "problems", ()) else changelist.queryset

    def _csv(self, request: HttpRequest, rows: Any) -> HttpResponse:
        table = Table(rows, self.export_columns, self.export_zone)
        return csv_answer(Export(request, self._table_name(), "csv"), self._short_name(), table.titles, table)

    def _xlsx(self, request: HttpRequest, rows: Any) -> HttpResponse:
        if rows.order_by()[: XLSX_ROWS + 1].count() > XLSX_ROWS:
            limit = f"{XLSX_ROWS:,}"
            return self._back(
                request, _("An XLSX file holds at most %(n)s rows. Filter, or export as CSV.") % {"n": limit}
            )
        table = Table(rows, self.export_columns, self.export_zone)
        sheet = str(getattr(self, "list_title", "") or self._table_name())
        export = Export(request, self._table_name(), "xlsx")
        return xlsx_answer(export, self._short_name(), table.titles, table, sheet=sheet)

    def _short_name(self) -> str:
        return self._table_name().rpartition(".")[2]

    def _back(self, request: HttpRequest, sentence: str) -> HttpResponse:
        messages.error(request, sentence)
        options: Any = self.opts  # type: ignore[attr-defined]
        address = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
        return redirect(f"{address}?{request.GET.urlencode()}")

    def _export_name(self) -> str:
        return f"{self._table_name().replace('.', '_')}_export"

    def _table_name(self) -> str:
        return str(self.opts.label_lower)  # type: ignore[attr-defined]


class Export:
    """One export as the audit knows it: its start is written when it is made, its end with the number of rows."""

    def __init__(self, request: HttpRequest, table: str, file_format: str) -> None:
        home = home_enterprise(signed_in(request))
        self.rows = 0
        self._facts: dict[str, Any] = {
            "table": table,
            "file_format": file_format,
            "query": request.GET.urlencode(),
            "enterprise_id": home.pk if home else None,
            "actor": actor(request),
        }
        record_export_start(**self._facts, now=clock.now())

    def count(self) -> None:
        """One row more."""
        self.rows += 1

    def end(self) -> None:
        """Write how many rows left."""
        record_export_end(**self._facts, rows=self.rows, now=clock.now())

    def counted(self, rows: Iterable[Sequence[Value]]) -> Iterator[Sequence[Value]]:
        """The rows, each counted as it leaves."""
        for row in rows:
            self.count()
            yield row

    def watched(self, titles: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[bytes]:
        """The CSV file in pieces; its end is recorded even where the reader goes away."""
        try:
            yield from csv_pieces(titles, self.counted(rows))
        finally:
            self.end()


def csv_answer(export: Export, name: str, titles: Sequence[str], rows: Iterable[Sequence[Value]]) -> HttpResponse:
    """The file as it is read; `name` is what it begins with."""
    answer = StreamingHttpResponse(export.watched(titles, rows), content_type="text/csv; charset=utf-8")
    return _named(answer, name, "csv")


def xlsx_answer(
    export: Export, name: str, titles: Sequence[str], rows: Iterable[Sequence[Value]], *, sheet: str
) -> HttpResponse:
    """The finished workbook with one sheet, of at most 50,000 rows."""
    book = write_xlsx(re.sub(r"[\[\]:*?/\\]", " ", sheet), titles, rows, counted=export.count)
    export.end()
    return _named(FileResponse(book, content_type=XLSX), name, "xlsx")


def _named(answer: Any, name: str, ending: str) -> HttpResponse:
    answer["Content-Disposition"] = f'attachment; filename="{name}-{localtime(clock.now()):%Y%m%d-%H%M}.{ending}"'
    answer["Cache-Control"] = "no-store"
    named: HttpResponse = answer
    return named
