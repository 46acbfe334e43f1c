"""Admin of billing: Payments > Orders, Payments, Exceptions. All read-only: money is moved by services alone."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from amp.foundation.access import Action
from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.listed import Listed
from amp.foundation.templatetags.amp_display import actor_name, badge_html, code_html, moment
from billing.admin_views import batch, book_lists, exports, fapiao, files, orders, receipts, renewing, selecting
from billing.admin_views import bills as bill_pages
from billing.admin_views import books as book_pages
from billing.admin_views.cells import money_cell, status_badge
from billing.filters import (
    BillFilters,
    BillRowFilters,
    ExceptionFilters,
    FapiaoFilters,
    LedgerFilters,
    OrderFilters,
    PaymentFilters,
)
from billing.models import (
    Bill,
    BillRow,
    FapiaoRequest,
    MoneyEntry,
    Order,
    PaymentAttempt,
    PaymentException,
)

BY_DAY = (
    Ordering("created", _("Created, newest first"), "created_at"),
    Ordering("oldest", _("Created, oldest first"), "created_at", descending=False),
)


@admin.register(Order)
class OrderAdmin(Listed, RecordAdmin):
    """Payments > Orders, and the pages that make and pay them."""

    details = staticmethod(orders.order_page)
    further = (
        ("renew/", "order_renew", renewing.renew),
        ("renew/select/", "order_select", selecting.select),
        ("renew/upload/", "order_upload", selecting.upload),
        ("renew/<int:pk>/", "order_selection", batch.selection_page),
        ("renew/<int:pk>/file/", "order_selection_file", files.preview_file),
        ("renew/<int:pk>/unknown/", "order_selection_unknown", files.unknown_file),
        ("<int:pk>/lines/", "order_lines_file", files.lines_file),
        ("<int:pk>/retry/", "order_retry", orders.retry),
        ("<int:pk>/status/", "order_status", orders.order_status),
        ("<int:pk>/code/", "order_new_code", orders.new_code),
        ("<int:pk>/cancel/", "order_cancel", orders.cancel),
        ("<int:pk>/confirm/", "order_confirm_free", orders.confirm_free),
        ("<int:pk>/receipt/", "order_receipt", receipts.receipt_page),
        ("<int:pk>/receipt.pdf", "order_receipt_file", receipts.receipt_file),
        ("<int:pk>/fapiao/", "order_fapiao", fapiao.ask),
    )
    section = _("Payments")
    list_title = _("Orders")
    list_display = ("number", "state", "total_money", "line_count", "plan_name", "merchant_name", "source", "created")
    extra_columns = ("enterprise", "months", "paid")
    list_select_related = ("enterprise",)
    filterset_class = OrderFilters
    orderings = BY_DAY
    export_columns = exports.ORDER_EXPORT
    sortable_by = ()
    empty_hint = _("Orders are made by Renew, or by customers on the renewal page of a device.")

    @admin.display(description=_("status"))
    def state(self, order: Order) -> str:
        """Q2."""
        return status_badge(order)

    @admin.display(description=_("total"))
    def total_money(self, order: Order) -> str:
        """Of all devices."""
        return money_cell(order.total, order.currency)

    @admin.display(description=_("from"))
    def source(self, order: Order) -> str:
        """The channel, and who it was where it was staff."""
        return actor_name(order.created_by) if order.channel == "STAFF" else str(order.get_channel_display())

    @admin.display(description=_("created"))
    def created(self, order: Order) -> str:
        """The minute."""
        return moment(order.created_at)

    @admin.display(description=_("paid"))
    def paid(self, order: Order) -> str:
        """The minute."""
        return moment(order.paid_at)


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(Listed, RecordAdmin):
    """Payments > Payments: every attempt to be paid."""

    details = staticmethod(orders.payment_page)
    section = _("Payments")
    list_title = _("Payments")
    list_display = ("number_code", "state", "amount_money", "order_number", "gateway", "created", "paid")
    list_select_related = ("order", "enterprise")
    extra_columns = ("transaction_id", "enterprise")
    filterset_class = PaymentFilters
    orderings = BY_DAY
    export_columns = exports.PAYMENT_EXPORT
    sortable_by = ()
    empty_hint = _("A payment appears when an order asks for a code to scan.")

    @admin.display(description=_("payment"))
    def number_code(self, attempt: PaymentAttempt) -> str:
        """Our number at the gateway."""
        return format_html('<span class="amp-when">{}</span>', attempt.number)

    @admin.display(description=_("status"))
    def state(self, attempt: PaymentAttempt) -> str:
        """UNKNOWN is looked into by itself."""
        return status_badge(attempt)

    @admin.display(description=_("amount"))
    def amount_money(self, attempt: PaymentAttempt) -> str:
        """What was asked for."""
        return money_cell(attempt.amount, attempt.currency)

    @admin.display(description=_("order"))
    def order_number(self, attempt: PaymentAttempt) -> str:
        """What it pays."""
        return code_html(attempt.order.number)

    @admin.display(description=_("gateway"))
    def gateway(self, attempt: PaymentAttempt) -> str:
        """TEST money says so."""
        return badge_html(_("Sandbox (TEST)"), "amber") if attempt.provider == "sandbox" else attempt.provider

    @admin.display(description=_("created"))
    def created(self, attempt: PaymentAttempt) -> str:
        """The minute."""
        return moment(attempt.created_at)

    @admin.display(description=_("paid"))
    def paid(self, attempt: PaymentAttempt) -> str:
        """The gateway's success time."""
        return moment(attempt.paid_at)


@admin.register(PaymentException)
class PaymentExceptionAdmin(Listed, RecordAdmin):
    """Payments > Exceptions: money that came in and could not simply be applied."""

    details = staticmethod(orders.exception_page)
    section = _("Payments")
    list_title = _("Exceptions")
    list_display = ("kind", "state", "amount_money", "order_number", "detail", "noticed")
    list_select_related = ("attempt__order", "enterprise")
    extra_columns = ("enterprise",)
    filterset_class = ExceptionFilters
    export_columns = exports.EXCEPTION_EXPORT
    sortable_by = ()
    empty_hint = _("Every payment could be applied. What can't be, is listed here.")

    @admin.display(description=_("state"))
    def state(self, exception: PaymentException) -> str:
        """Open until a person has dealt with it."""
        return badge_html(_("Resolved")) if exception.resolved_at else badge_html(_("Open"), "red")

    @admin.display(description=_("amount"))
    def amount_money(self, exception: PaymentException) -> str:
        """The money it is about."""
        return money_cell(exception.amount, exception.currency)

    @admin.display(description=_("order"))
    def order_number(self, exception: PaymentException) -> str:
        """What it was paid for."""
        return code_html(exception.attempt.order.number)

    @admin.display(description=_("noticed"))
    def noticed(self, exception: PaymentException) -> str:
        """The minute."""
        return moment(exception.created_at)


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
        ("<int:pk>/settle/", "bill_settle", bill_pages.settle_lines),
        ("sandbox/<int:pk>/", "bill_sandbox_file", bill_pages.sandbox_file),
    )
    tools = ((_("Upload a bill"), "upload_file", "admin:bill_upload", Action.KEEP_BOOKS),)
    section = _("Payments")
    list_title = _("Gateway bills")
    list_display = ("day", "outcome", "merchant_account", "lines", "file_name", "uploaded", "uploaded_by")
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
