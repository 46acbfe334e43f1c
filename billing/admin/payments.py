"""Payments > Payments, Refunds, Exceptions."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.listed import Listed
from amp.foundation.templatetags.amp_display import TONES, actor_name, badge_html, code_html, moment
from billing.admin.days import BY_DAY
from billing.admin_views import (
    exceptions,
    exports,
    orders,
    refunds,
    transfers,
)
from billing.admin_views.cells import money_cell, status_badge
from billing.filters import (
    ExceptionFilters,
    PaymentFilters,
    RefundFilters,
)
from billing.models import (
    PaymentAttempt,
    PaymentException,
    Refund,
)
from billing.models.accounts import PROVIDER_NAMES
from billing.refunds import SYSTEM
from billing.services.case_words import told


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
    extra_columns = ("reference", "enterprise")
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

    @admin.display(description=_("gateway transaction"))
    def reference(self, attempt: PaymentAttempt) -> str:
        """The gateway's own number, or the bank's reference."""
        return attempt.reference or "—"

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
        return badge_html(dict(PROVIDER_NAMES).get(attempt.provider, attempt.provider), tone)

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
    extra_columns = ("approver", "reason", "enterprise")
    list_select_related = ("order", "enterprise")
    filterset_class = RefundFilters
    orderings = BY_DAY
    export_columns = exports.REFUND_EXPORT
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

    @admin.display(description=_("approved by"))
    def approver(self, refund: Refund) -> str:
        """Another person, the gateway, or nobody yet."""
        return actor_name(refund.approved_by)

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
    list_display = ("kind", "state", "amount_money", "order_number", "what_happened", "noticed")
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

    @admin.display(description=_("detail"))
    def what_happened(self, exception: PaymentException) -> str:
        """In a sentence."""
        return told(exception.facts)

    @admin.display(description=_("noticed"))
    def noticed(self, exception: PaymentException) -> str:
        """The minute."""
        return moment(exception.created_at)
