"""Admin of billing: Payments > Orders, Payments, Exceptions. All read-only: money is moved by services alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.columns import Column
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.listed import Listed
from amp.foundation.money import format_money
from amp.foundation.templatetags.amp_display import TONES, actor_name, badge_html, code_html, moment
from billing.admin_views import batch, exceptions, files, orders, refunds, renewing, selecting, transfers
from billing.filters import ExceptionFilters, OrderFilters, PaymentFilters, RefundFilters
from billing.models import MerchantAccount, Order, PaymentAttempt, PaymentException, Refund
from billing.refunds import SYSTEM

WAITING = {"PENDING": "amber", "UNKNOWN": "amber"}
BY_DAY = (
    Ordering("created", _("Created, newest first"), "created_at"),
    Ordering("oldest", _("Created, oldest first"), "created_at", descending=False),
)


def _choices(model: Any, field: str) -> Any:
    return model._meta.get_field(field).choices


def money_cell(minor: int | None, currency: str) -> str:
    """Right-aligned, tabular figures."""
    shown = "—" if minor is None else format_money(minor, currency, get_language() or "en")
    return format_html('<span class="amp-money">{}</span>', shown)


def status_badge(row: Any) -> str:
    """PENDING waits here; elsewhere it is only young."""
    return badge_html(row.get_status_display(), WAITING.get(row.status) or TONES.get(row.status, "grey"))


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
    export_columns = (
        Column(_("order"), "number"),
        Column(_("status"), "status", _choices(Order, "status")),
        Column(_("total"), "total", currency="currency"),
        Column(_("currency"), "currency"),
        Column(_("devices"), "line_count"),
        Column(_("plan"), "plan_name"),
        Column(_("months"), "months"),
        Column(_("merchant"), "merchant_name"),
        Column(_("enterprise"), "enterprise__name"),
        Column(_("channel"), "channel", _choices(Order, "channel")),
        Column(_("by"), "created_by"),
        Column(_("created"), "created_at"),
        Column(_("paid"), "paid_at"),
    )
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
    further = (
        ("<int:pk>/receipt/", "payment_receipt", transfers.receipt),
        ("<int:pk>/receipt/<int:receipt_pk>/", "payment_receipt_decide", transfers.decide),
    )
    section = _("Payments")
    list_title = _("Payments")
    list_display = ("number_code", "state", "amount_money", "order_number", "gateway", "created", "paid")
    list_select_related = ("order", "enterprise")
    extra_columns = ("transaction_id", "enterprise")
    filterset_class = PaymentFilters
    orderings = BY_DAY
    export_columns = (
        Column(_("payment"), "number"),
        Column(_("status"), "status", _choices(PaymentAttempt, "status")),
        Column(_("amount"), "amount", currency="currency"),
        Column(_("currency"), "currency"),
        Column(_("order"), "order__number"),
        Column(_("gateway"), "provider", _choices(MerchantAccount, "provider")),
        Column(_("gateway transaction"), "transaction_id"),
        Column(_("enterprise"), "enterprise__name"),
        Column(_("created"), "created_at"),
        Column(_("paid"), "paid_at"),
    )
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
        tone = "amber" if attempt.provider == "sandbox" else "grey"
        return badge_html(dict(_choices(MerchantAccount, "provider")).get(attempt.provider, attempt.provider), tone)

    @admin.display(description=_("created"))
    def created(self, attempt: PaymentAttempt) -> str:
        """The minute."""
        return moment(attempt.created_at)

    @admin.display(description=_("paid"))
    def paid(self, attempt: PaymentAttempt) -> str:
        """The gateway's success time."""
        return moment(attempt.paid_at)


@admin.register(Refund)
class RefundAdmin(Listed, RecordAdmin):
    """Payments > Refunds: what goes back, by whose word."""

    details = staticmethod(refunds.refund_page)
    further = (
        ("<int:pk>/decide/", "refund_decide", refunds.decide),
        ("<int:pk>/payout/", "refund_payout", refunds.payout),
    )
    section = _("Payments")
    list_title = _("Refunds")
    list_display = ("number_code", "state", "amount_money", "order_number", "effect", "asked_by", "created")
    extra_columns = ("approved_by", "reason", "enterprise")
    list_select_related = ("order", "enterprise")
    filterset_class = RefundFilters
    orderings = BY_DAY
    export_columns = (
        Column(_("refund"), "number"),
        Column(_("status"), "status", _choices(Refund, "status")),
        Column(_("amount"), "amount", currency="currency"),
        Column(_("currency"), "currency"),
        Column(_("order"), "order__number"),
        Column(_("payment"), "attempt__number"),
        Column(_("effect on the devices"), "effect", _choices(Refund, "effect")),
        Column(_("reason"), "reason"),
        Column(_("asked by"), "requested_by"),
        Column(_("approved by"), "approved_by"),
        Column(_("enterprise"), "enterprise__name"),
        Column(_("asked"), "created_at"),
        Column(_("ended"), "ended_at"),
    )
    sortable_by = ()
    empty_hint = _("Refunds are asked for on the page of an order, or of an exception.")

    @admin.display(description=_("refund"))
    def number_code(self, refund: Refund) -> str:
        """Our number at the gateway."""
        return format_html('<span class="amp-when">{}</span>', refund.number)

    @admin.display(description=_("status"))
    def state(self, refund: Refund) -> str:
        """What waits for a person is amber."""
        return badge_html(refund.get_status_display(), TONES.get(refund.status, "grey"))

    @admin.display(description=_("amount"))
    def amount_money(self, refund: Refund) -> str:
        """What goes back."""
        return money_cell(refund.amount, refund.currency)

    @admin.display(description=_("order"))
    def order_number(self, refund: Refund) -> str:
        """What it was paid for."""
        return code_html(refund.order.number)

    @admin.display(description=_("asked by"))
    def asked_by(self, refund: Refund) -> str:
        """A person, or nobody yet."""
        return str(_("proposed by the system")) if refund.requested_by == SYSTEM else actor_name(refund.requested_by)

    @admin.display(description=_("asked"))
    def created(self, refund: Refund) -> str:
        """The minute."""
        return moment(refund.created_at)


@admin.register(PaymentException)
class PaymentExceptionAdmin(Listed, RecordAdmin):
    """Payments > Exceptions: money that came in and could not simply be applied."""

    details = staticmethod(exceptions.exception_page)
    further = (("<int:pk>/resolve/", "exception_resolve", exceptions.resolve),)
    section = _("Payments")
    list_title = _("Exceptions")
    list_display = ("kind", "state", "amount_money", "order_number", "detail", "noticed")
    list_select_related = ("attempt__order", "enterprise")
    extra_columns = ("enterprise",)
    filterset_class = ExceptionFilters
    export_columns = (
        Column(_("reason"), "kind", _choices(PaymentException, "kind")),
        Column(_("amount"), "amount", currency="currency"),
        Column(_("currency"), "currency"),
        Column(_("payment"), "attempt__number"),
        Column(_("order"), "attempt__order__number"),
        Column(_("detail"), "detail"),
        Column(_("enterprise"), "enterprise__name"),
        Column(_("noticed"), "created_at"),
        Column(_("resolved"), "resolved_at"),
        Column(_("by"), "resolved_by"),
    )
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
