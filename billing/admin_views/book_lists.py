"""Columns of the lists that finance works in: the ledger, fapiao requests, bills and their lines."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from amp.foundation.access import Action, enterprises_where
from amp.foundation.bulk import among
from amp.foundation.lists.columns import Column
from amp.foundation.pages import signed_in
from amp.foundation.templatetags.amp_display import actor_name, badge_html, code_html, moment
from billing.admin_views.cells import money_cell
from billing.bills import FINE, Result
from billing.models import Bill, BillRow, FapiaoRequest, MerchantAccount, MoneyEntry
from billing.orders import shown_transaction

FAPIAO_TONES = {"REQUESTED": "amber", "ISSUED": "green", "REFUSED": "grey"}
MOVEMENT_TONES = {"RECEIVED": "green", "APPLIED": "blue", "UNAPPLIED": "amber", "REFUNDED": "red"}


def _choices(model: Any, field: str) -> Any:
    return model._meta.get_field(field).choices


class BooksOnly:
    """Lists for roles that keep the books, of the enterprises in which they do. Mix in before `Listed`."""

    view_action = Action.KEEP_BOOKS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows of enterprises whose books the user keeps."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows.filter(among("enterprise_id", enterprises_where(signed_in(request), Action.KEEP_BOOKS)))

    def export(self, request: HttpRequest) -> HttpResponse:
        """The file, for those who see the list."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        answer: HttpResponse = super().export(request)  # type: ignore[misc]
        return answer


LEDGER_EXPORT = (
    Column(_("booked"), "created_at"),
    Column(_("movement"), "kind", _choices(MoneyEntry, "kind")),
    Column(_("amount"), "amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("merchant"), "merchant__name"),
    Column(_("merchant ID"), "merchant__merchant_id"),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("order"), "attempt__order__number"),
    Column(_("payment"), "attempt__number"),
    Column(_("gateway"), "attempt__provider", _choices(MerchantAccount, "provider")),
    Column(_("gateway transaction"), "attempt__transaction_id", words=shown_transaction),
    Column(_("paid at the gateway"), "attempt__paid_at"),
    Column(_("device"), "line__device__key"),
)


class LedgerColumns:
    """One movement of money."""

    @admin.display(description=_("booked"))
    def booked(self, entry: MoneyEntry) -> str:
        """The minute."""
        return moment(entry.created_at)

    @admin.display(description=_("movement"))
    def movement(self, entry: MoneyEntry) -> str:
        """What it is."""
        return badge_html(entry.get_kind_display(), MOVEMENT_TONES.get(entry.kind, "grey"))

    @admin.display(description=_("amount"))
    def amount_money(self, entry: MoneyEntry) -> str:
        """In its currency."""
        return money_cell(entry.amount, entry.currency)

    @admin.display(description=_("order"))
    def order_number(self, entry: MoneyEntry) -> str:
        """What it was paid for."""
        return code_html(entry.attempt.order.number)

    @admin.display(description=_("payment"))
    def payment_number(self, entry: MoneyEntry) -> str:
        """Our number at the gateway."""
        return format_html('<span class="amp-when">{}</span>', entry.attempt.number)

    @admin.display(description=_("gateway"))
    def gateway(self, entry: MoneyEntry) -> str:
        """TEST money says so."""
        provider = entry.attempt.provider
        return badge_html(_("Sandbox (TEST)"), "amber") if provider == "sandbox" else provider


FAPIAO_EXPORT = (
    Column(_("order"), "order__number"),
    Column(_("status"), "status", _choices(FapiaoRequest, "status")),
    Column(_("buyer's name"), "title"),
    Column(_("tax number"), "tax_number"),
    Column(_("e-mail"), "email"),
    Column(_("amount"), "amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("fapiao number"), "number"),
    Column(_("reason"), "reason"),
    Column(_("merchant"), "order__merchant_name"),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("requested"), "requested_at"),
    Column(_("by"), "requested_by", names_actor=True),
    Column(_("decided"), "decided_at"),
    Column(_("decided by"), "decided_by", names_actor=True),
)


class FapiaoColumns:
    """One request."""

    @admin.display(description=_("order"))
    def order_number(self, request: FapiaoRequest) -> str:
        """What it is about."""
        return request.order.number

    @admin.display(description=_("status"))
    def state(self, request: FapiaoRequest) -> str:
        """Whether finance has decided."""
        return badge_html(request.get_status_display(), FAPIAO_TONES[request.status])

    @admin.display(description=_("amount"))
    def amount_money(self, request: FapiaoRequest) -> str:
        """What was paid and not refunded when it was asked for."""
        return money_cell(request.amount, request.currency)

    @admin.display(description=_("tax number"))
    def tax_code(self, request: FapiaoRequest) -> str:
        """Copyable."""
        return code_html(request.tax_number)

    @admin.display(description=_("merchant"))
    def merchant(self, request: FapiaoRequest) -> str:
        """Who has to issue it."""
        return request.order.merchant_name

    @admin.display(description=_("requested"))
    def requested(self, request: FapiaoRequest) -> str:
        """The minute."""
        return moment(request.requested_at)

    @admin.display(description=_("by"))
    def asker(self, request: FapiaoRequest) -> str:
        """The payer on the renewal page, or one of the staff."""
        return actor_name(request.requested_by)


BILL_EXPORT = (
    Column(_("day"), "day"),
    Column(_("file"), "file_name"),
    Column(_("gateway"), "account__provider", _choices(MerchantAccount, "provider")),
    Column(_("merchant"), "account__merchant__name"),
    Column(_("lines"), "lines"),
    Column(_("to look at"), "open_lines"),
    Column(_("uploaded"), "uploaded_at"),
    Column(_("by"), "uploaded_by", names_actor=True),
)


class BillColumns:
    """One bill."""

    @admin.display(description=_("merchant account"))
    def merchant_account(self, bill: Bill) -> str:
        """Merchant and gateway."""
        return str(bill.account)

    @admin.display(description=_("result"))
    def outcome(self, bill: Bill) -> str:
        """Whether anything is to be looked at."""
        if not bill.open_lines:
            return badge_html(_("Everything agrees"), "green")
        return badge_html(_("%(n)s to look at") % {"n": f"{bill.open_lines:,}"}, "amber")

    @admin.display(description=_("uploaded"))
    def uploaded(self, bill: Bill) -> str:
        """The minute."""
        return moment(bill.uploaded_at)

    @admin.display(description=_("uploaded by"))
    def uploader(self, bill: Bill) -> str:
        """One of the staff, or the demo."""
        return actor_name(bill.uploaded_by)


BILL_ROW_EXPORT = (
    Column(_("result"), "result", _choices(BillRow, "result")),
    Column(_("movement"), "kind", _choices(BillRow, "kind")),
    Column(_("payment"), "number"),
    Column(_("gateway transaction"), "transaction_id"),
    Column(_("amount at the gateway"), "amount", currency="currency"),
    Column(_("amount with us"), "our_amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("at the gateway"), "happened_at"),
    Column(_("order"), "attempt__order__number"),
    Column(_("detail"), "detail"),
    Column(_("day"), "bill__day"),
    Column(_("file"), "bill__file_name"),
)


def result_badge(row: BillRow) -> str:
    """Green agrees, amber waits, red needs a person."""
    result = Result(row.result)
    tone = "green" if result in FINE else "amber" if result is Result.TO_SETTLE else "red"
    return badge_html(row.get_result_display(), tone)


class BillRowColumns:
    """One line of a bill."""

    @admin.display(description=_("result"))
    def outcome(self, row: BillRow) -> str:
        """How it compares."""
        return result_badge(row)

    @admin.display(description=_("at the gateway"))
    def there(self, row: BillRow) -> str:
        """What the gateway says."""
        return money_cell(None if row.result == Result.MISSING_THERE.value else row.amount, row.currency)

    @admin.display(description=_("with us"))
    def here(self, row: BillRow) -> str:
        """What we have."""
        return money_cell(row.our_amount, row.currency)

    @admin.display(description=_("order"))
    def order_number(self, row: BillRow) -> str:
        """Of our payment."""
        return code_html(row.attempt.order.number if row.attempt else "")

    @admin.display(description=_("time"))
    def at(self, row: BillRow) -> str:
        """When it happened there."""
        return moment(row.happened_at)
