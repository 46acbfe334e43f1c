"""What batches leave to download: the preview, lines of a file that name no device, results (F90)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.cells import escaped
from amp.foundation.lists.columns import Column, Table, Value
from amp.foundation.lists.exporting import Export, csv_answer, xlsx_answer
from amp.foundation.money import minor_digits
from amp.foundation.pages import found, needs
from billing.admin_views.batch import WORDS, plan_of, selection_of
from billing.filters import OrderLineFilters
from billing.models import Order, OrderLine, SelectedDevice
from billing.services.quoting import REFUSALS, QuoteLine, quote, refusal_text
from billing.services.selecting import device_ids_of
from devices.forms.import_words import problem_sentence

LINE_COLUMNS = (
    Column(gettext_lazy("device key"), "device__key"),
    Column(gettext_lazy("product"), "device__product__name"),
    Column(gettext_lazy("enterprise"), "enterprise__name"),
    Column(gettext_lazy("status"), "status", list(OrderLine._meta.get_field("status").choices or ())),
    Column(gettext_lazy("previewed end"), "previewed_ends_at"),
    Column(gettext_lazy("new end"), "ends_at"),
    Column(gettext_lazy("amount"), "amount", currency="order__currency"),
    Column(gettext_lazy("currency"), "order__currency"),
    Column(gettext_lazy("reason"), "reason", list(REFUSALS.items())),
)


@require_POST
def preview_file(request: HttpRequest, pk: int) -> HttpResponse:
    """Every device of the selection with the end that the plan gives it, or why it is left out."""
    selection = selection_of(request, pk)
    plan = plan_of(request.POST.get("plan", ""))
    quoted = quote(device_ids=device_ids_of(selection), plan=plan, now=clock.now())
    zone = ZoneInfo(selection.enterprise.time_zone)
    lines = quoted.refused if request.POST.get("show") == "refused" else quoted.lines
    titles = [
        *(_("device key"), _("service"), _("ends"), _("new end"), _("amount"), _("currency"), _("reason")),
    ]  # fmt: skip
    rows = [_cells(line, quoted.currency, zone) for line in lines]  # now, while the reader's language is active
    return _sent(request, "billing.renewalselection", "renewal", titles, rows)


@needs(Action.RENEW)
def unknown_file(request: HttpRequest, pk: int) -> HttpResponse:
    """Lines that name no device: what they say and what is wrong; corrected, the file can be chosen as it is."""
    selection = selection_of(request, pk)
    rows = SelectedDevice.objects.filter(selection=selection, device__isnull=True).order_by("line")
    told: list[list[Value]] = [
        [escaped(key), escaped(product), line, escaped(problem_sentence(problem[0], problem[1:]))]
        for key, product, line, problem in rows.values_list("key", "product_key", "line", "problem")
        if problem
    ]
    export = Export(request, "billing.renewalselection", "csv")
    return csv_answer(export, "unknown", ["key", "product", "line", "problem"], told)


@needs(Action.VIEW)
@require_POST
def lines_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The devices of an order with what became of each; the filters of the page apply."""
    order = found(Order.objects.all(), pk)
    filters = OrderLineFilters(request.GET, OrderLine.objects.filter(order=order))
    rows = filters.qs if filters.is_valid() else OrderLine.objects.filter(order=order)
    table = Table(rows, LINE_COLUMNS)
    return _sent(request, "billing.orderline", f"order-{order.number}", table.titles, table)


def _sent(
    request: HttpRequest, table: str, name: str, titles: Sequence[str], rows: Iterable[Sequence[Value]]
) -> HttpResponse:
    if request.POST.get("format") == "xlsx":
        return xlsx_answer(Export(request, table, "xlsx"), name, titles, rows, sheet=_("Devices"))
    return csv_answer(Export(request, table, "csv"), name, titles, rows)


def _cells(line: QuoteLine, currency: str, zone: ZoneInfo) -> list[Value]:
    refusal = refusal_text(line.refusal) if line.refusal else ""
    state = str(WORDS.get(line.state.value, "")) if line.state else ""
    amount: Value = "" if line.refusal else Decimal(line.amount).scaleb(-minor_digits(currency))
    moments = [_moment(line.previous_ends_at, zone), _moment(line.ends_at, zone)]
    return [escaped(line.device_key), state, *moments, amount, currency, refusal]


def _moment(value: datetime | None, zone: ZoneInfo) -> str:
    return value.astimezone(zone).isoformat(timespec="seconds") if value else ""
