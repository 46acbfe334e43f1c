"""Payments > Orders."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.listed import Listed
from amp.foundation.templatetags.amp_display import actor_name, moment
from billing.admin.days import BY_DAY
from billing.admin_views import (
    batch,
    exports,
    fapiao,
    files,
    orders,
    receipts,
    refunds,
    renewing,
    selecting,
    transfers,
)
from billing.admin_views.cells import money_cell, status_badge
from billing.filters import (
    OrderFilters,
)
from billing.models import (
    Order,
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
        ("<int:pk>/refund/", "order_refund", refunds.order_refund),
        ("<int:pk>/transfer/", "order_transfer", transfers.ask_for_transfer),
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
