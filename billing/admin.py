"""Admin of billing: Payments > Orders, Payments, Exceptions. All read-only: money is moved by services alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from amp.foundation.admin import RecordAdmin
from amp.foundation.money import format_money
from amp.foundation.templatetags.amp_display import TONES, badge_html, code_html, moment
from billing.admin_views import orders, renewing
from billing.models import Order, PaymentAttempt, PaymentException

WAITING = {"PENDING": "amber", "UNKNOWN": "amber"}


def money_cell(minor: int | None, currency: str) -> str:
    """Right-aligned, tabular figures."""
    shown = "—" if minor is None else format_money(minor, currency, get_language() or "en")
    return format_html('<span class="amp-money">{}</span>', shown)


def status_badge(row: Any) -> str:
    """PENDING waits here; elsewhere it is only young."""
    return badge_html(row.get_status_display(), WAITING.get(row.status) or TONES.get(row.status, "grey"))


@admin.register(Order)
class OrderAdmin(RecordAdmin):
    """Payments > Orders, and the pages that make and pay them."""

    details = staticmethod(orders.order_page)
    further = (
        ("renew/", "order_renew", renewing.renew),
        ("<int:pk>/status/", "order_status", orders.order_status),
        ("<int:pk>/code/", "order_new_code", orders.new_code),
        ("<int:pk>/cancel/", "order_cancel", orders.cancel),
        ("<int:pk>/confirm/", "order_confirm_free", orders.confirm_free),
    )
    section = _("Payments")
    list_title = _("Orders")
    list_display = ("number", "state", "total_money", "line_count", "plan_name", "merchant_name", "source", "created")
    list_filter = (("status", ChoicesDropdownFilter), ("channel", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("number__startswith", "created_by__startswith")
    search_help_text = _("Order number or who made it")
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
        return order.created_by if order.channel == "STAFF" else str(order.get_channel_display())

    @admin.display(description=_("created"))
    def created(self, order: Order) -> str:
        """The minute."""
        return moment(order.created_at)


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(RecordAdmin):
    """Payments > Payments: every attempt to be paid."""

    details = staticmethod(orders.payment_page)
    section = _("Payments")
    list_title = _("Payments")
    list_display = ("number_code", "state", "amount_money", "order_number", "gateway", "created", "paid")
    list_select_related = ("order",)
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    search_fields = ("number__startswith", "transaction_id__exact", "order__number__startswith")
    search_help_text = _("Payment, gateway transaction or order number")
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


class OpenFilter(DropdownFilter):
    """Exceptions that wait for a person, or all."""

    title = _("state")
    parameter_name = "open"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, Any]]:
        """Two kinds."""
        return [("yes", _("Open")), ("no", _("Resolved"))]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """By whether somebody has resolved it."""
        return queryset.filter(resolved_at__isnull=self.value() == "yes") if self.value() in {"yes", "no"} else queryset


@admin.register(PaymentException)
class PaymentExceptionAdmin(RecordAdmin):
    """Payments > Exceptions: money that came in and could not simply be applied."""

    details = staticmethod(orders.exception_page)
    section = _("Payments")
    list_title = _("Exceptions")
    list_display = ("kind", "state", "amount_money", "order_number", "detail", "noticed")
    list_select_related = ("attempt__order",)
    list_filter = (("kind", ChoicesDropdownFilter), OpenFilter)
    list_filter_submit = True
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
