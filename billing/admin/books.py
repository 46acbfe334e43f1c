"""Payments > Money ledger, Fapiao requests, Bills: for those who keep the books."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from amp.foundation.access import Action
from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.listed import Listed
from billing.admin.days import BY_DAY
from billing.admin_views import bills as bill_pages
from billing.admin_views import (
    book_lists,
    fapiao,
)
from billing.admin_views import books as book_pages
from billing.filters import (
    BillFilters,
    BillRowFilters,
    FapiaoFilters,
    LedgerFilters,
)
from billing.models import (
    Bill,
    BillRow,
    FapiaoRequest,
    MoneyEntry,
)


@admin.register(MoneyEntry)
class MoneyEntryAdmin(book_lists.BooksOnly, book_lists.LedgerColumns, Listed, RecordAdmin):
    """Payments > Money ledger: every movement (R1, R9)."""

    details = staticmethod(book_pages.entry_page)
    tools = ((_("Totals"), "functions", "admin:billing_totals", Action.KEEP_BOOKS),)
    section = _("Payments")
    list_title = _("Money ledger")
    list_display = ("booked", "movement", "amount_money", "order_number", "merchant", "gateway")
    extra_columns = ("payment_number", "enterprise")
    list_select_related = ("attempt__order", "merchant", "enterprise")
    filterset_class = LedgerFilters
    orderings = BY_DAY
    export_columns = book_lists.LEDGER_EXPORT
    sortable_by = ()
    empty_hint = _("The first payment that comes in is booked here.")


@admin.register(FapiaoRequest)
class FapiaoRequestAdmin(book_lists.BooksOnly, book_lists.FapiaoColumns, Listed, RecordAdmin):
    """Payments > Fapiao requests."""

    details = staticmethod(fapiao.fapiao_page)
    further = (
        ("<int:pk>/issue/", "fapiao_issue", fapiao.issue),
        ("<int:pk>/refuse/", "fapiao_refuse", fapiao.refuse_request),
    )
    section = _("Payments")
    list_title = _("Fapiao requests")
    list_display = ("order_number", "state", "amount_money", "title", "tax_code", "merchant", "requested", "asker")
    extra_columns = ("email", "number", "enterprise")
    list_select_related = ("order", "enterprise")
    filterset_class = FapiaoFilters
    orderings = (
        Ordering("created", _("Requested, newest first"), "requested_at"),
        Ordering("oldest", _("Requested, oldest first"), "requested_at", descending=False),
    )
    export_columns = book_lists.FAPIAO_EXPORT
    sortable_by = ()
    empty_hint = _("Payers ask for a fapiao on the page of their payment, staff on the receipt of an order.")


@admin.register(Bill)
class BillAdmin(book_lists.BooksOnly, book_lists.BillColumns, Listed, RecordAdmin):
    """Payments > Gateway bills (F102)."""

    details = staticmethod(bill_pages.bill_page)
    further = (
        ("upload/", "bill_upload", bill_pages.upload),
        ("fetched/", "bill_fetches", bill_pages.fetches),
        ("fetched/<int:pk>/retry/", "bill_fetch_retry", bill_pages.retry),
        ("<int:pk>/settle/", "bill_settle", bill_pages.settle_lines),
        ("sandbox/<int:pk>/", "bill_sandbox_file", bill_pages.sandbox_file),
    )
    tools = (
        (_("Fetched automatically"), "cloud_download", "admin:bill_fetches", Action.KEEP_BOOKS),
        (_("Upload a bill"), "upload_file", "admin:bill_upload", Action.KEEP_BOOKS),
    )
    section = _("Payments")
    list_title = _("Gateway bills")
    list_display = ("day", "outcome", "merchant_account", "lines", "file_name", "uploaded", "uploader")
    extra_columns = ("enterprise",)
    list_select_related = ("account__merchant", "enterprise")
    filterset_class = BillFilters
    export_columns = book_lists.BILL_EXPORT
    sortable_by = ()
    empty_hint = _("Upload the daily bill of a gateway to compare it with the payments here.")


@admin.register(BillRow)
class BillRowAdmin(book_lists.BooksOnly, book_lists.BillRowColumns, Listed, RecordAdmin):
    """Lines of bills, reached from a bill."""

    details = staticmethod(bill_pages.row_page)
    section = _("Payments")
    list_title = _("Lines of gateway bills")
    list_display = ("number", "outcome", "kind", "there", "here", "order_number", "at")
    extra_columns = ("transaction_id", "detail", "enterprise")
    list_select_related = ("attempt__order", "enterprise")
    filterset_class = BillRowFilters
    export_columns = book_lists.BILL_ROW_EXPORT
    sortable_by = ()
    empty_hint = _("Upload the daily bill of a gateway to compare it with the payments here.")
