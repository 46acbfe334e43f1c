"""Filters over orders and payments, shared by the admin's lists and the API: one closed list of parameters.

`enterprise` (with its descendants), `status`, `channel` or `provider`, `created_from`, `created_to` (days, both
included).
"""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from amp.foundation.lists.filters import EnterpriseFilterSet, FromDay, ListFilterSet, ToDay
from amp.foundation.lists.offered import Offered, RowChoiceFilter
from amp.foundation.models import Merchant
from amp.foundation.scoping import enterprises_in_scope
from billing.models import (
    Bill,
    BillRow,
    FapiaoRequest,
    MerchantAccount,
    MoneyEntry,
    Order,
    OrderLine,
    PaymentAttempt,
    PaymentException,
    Refund,
)
from billing.services.backlog import sold_by
from billing.services.fulfilment import stuck_orders
from billing.services.quoting import REFUSALS

RANGE = {"created_from": "created", "created_to": "created"}


def _choices(model: Any, field: str) -> list[tuple[str, Any]]:
    return list(model._meta.get_field(field).choices)


class OrderFilters(EnterpriseFilterSet):
    """Payments > Orders."""

    searched = ("number",)
    search_hint = _("Order number begins with …")
    decides_order = RANGE

    status = django_filters.ChoiceFilter(label=_("status"), choices=_choices(Order, "status"))
    channel = django_filters.ChoiceFilter(label=_("channel"), choices=_choices(Order, "channel"))
    created_from = FromDay(label=_("created from"), field_name="created_at")
    created_to = ToDay(label=_("created to"), field_name="created_at")
    paid_from = FromDay(label=_("paid from"), field_name="paid_at")
    paid_to = ToDay(label=_("paid to"), field_name="paid_at")
    stuck = django_filters.ChoiceFilter(label=_("work"), method="by_stuck", choices=[("yes", _("Given up"))])

    class Meta:
        model = Order
        fields: list[str] = []

    def by_stuck(self, rows: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
        """Paid orders on which the worker has given up."""
        return rows.filter(pk__in=stuck_orders().values("pk"))


class OrderLineFilters(ListFilterSet):
    """The devices of one order: `status`, and `reason` of those that were not applied (Q4)."""

    status = django_filters.ChoiceFilter(label=_("status"), choices=_choices(OrderLine, "status"))
    reason = django_filters.ChoiceFilter(label=_("reason"), choices=list(REFUSALS.items()))

    class Meta:
        model = OrderLine
        fields: list[str] = []


class PaymentFilters(EnterpriseFilterSet):
    """Payments > Payments."""

    searched = ("number", "transaction_id", "order__number")
    search_hint = _("Payment, gateway transaction or order number begins with …")
    decides_order = RANGE

    status = django_filters.ChoiceFilter(label=_("status"), choices=_choices(PaymentAttempt, "status"))
    provider = django_filters.ChoiceFilter(label=_("gateway"), choices=_choices(MerchantAccount, "provider"))
    created_from = FromDay(label=_("created from"), field_name="created_at")
    created_to = ToDay(label=_("created to"), field_name="created_at")

    class Meta:
        model = PaymentAttempt
        fields: list[str] = []


class RefundFilters(EnterpriseFilterSet):
    """Payments > Refunds."""

    searched = ("number", "order__number", "attempt__number")
    search_hint = _("Refund, order or payment number begins with …")
    decides_order = RANGE

    status = django_filters.ChoiceFilter(label=_("status"), choices=_choices(Refund, "status"))
    created_from = FromDay(label=_("asked from"), field_name="created_at")
    created_to = ToDay(label=_("asked to"), field_name="created_at")

    class Meta:
        model = Refund
        fields: list[str] = []


class ExceptionFilters(EnterpriseFilterSet):
    """Payments > Exceptions."""

    searched = ("attempt__number", "attempt__order__number")
    search_hint = _("Payment or order number begins with …")

    kind = django_filters.ChoiceFilter(label=_("reason"), choices=_choices(PaymentException, "kind"))
    open = django_filters.ChoiceFilter(
        label=_("state"),
        method="by_open",
        choices=[("yes", _("Open")), ("ours", _("Open, ours to decide")), ("no", _("Resolved"))],
    )

    class Meta:
        model = PaymentException
        fields: list[str] = []

    def by_open(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """By whether somebody has resolved it; `ours` are those of money that an enterprise in scope has received."""
        if value == "ours" and (places := enterprises_in_scope()) is not None:
            rows = rows.filter(sold_by("attempt__order", places))
        return rows.filter(resolved_at__isnull=value != "no")


class LedgerFilters(EnterpriseFilterSet):
    """Payments > Money ledger."""

    decides_order = RANGE

    kind = django_filters.ChoiceFilter(label=_("movement"), choices=_choices(MoneyEntry, "kind"))
    merchant = RowChoiceFilter(label=_("merchant"), choices=())
    created_from = FromDay(label=_("booked from"), field_name="created_at")
    created_to = ToDay(label=_("booked to"), field_name="created_at")

    class Meta:
        model = MoneyEntry
        fields: list[str] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.filters["merchant"].extra["choices"] = Offered(Merchant.objects.order_by("name", "pk"))


class FapiaoFilters(EnterpriseFilterSet):
    """Payments > Fapiao requests."""

    searched = ("order__number", "tax_number", "number")
    search_hint = _("Order, tax or fapiao number begins with …")
    decides_order = RANGE

    status = django_filters.ChoiceFilter(label=_("status"), choices=_choices(FapiaoRequest, "status"))
    created_from = FromDay(label=_("requested from"), field_name="requested_at")
    created_to = ToDay(label=_("requested to"), field_name="requested_at")

    class Meta:
        model = FapiaoRequest
        fields: list[str] = []


class BillFilters(EnterpriseFilterSet):
    """Payments > Gateway bills."""

    open = django_filters.ChoiceFilter(
        label=_("result"), method="by_open", choices=[("yes", _("To look at")), ("no", _("Everything agrees"))]
    )

    class Meta:
        model = Bill
        fields: list[str] = []

    def by_open(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """By whether somebody should look at it."""
        return rows.filter(open_lines__gt=0) if value == "yes" else rows.filter(open_lines=0)


class BillRowFilters(EnterpriseFilterSet):
    """Payments > Gateway bills > Lines; `bill` comes from the page of one bill."""

    searched = ("number", "transaction_id")
    search_hint = _("Payment or gateway transaction begins with …")
    unseen = frozenset({"bill"})

    bill = RowChoiceFilter(label=_("bill"), choices=())
    result = django_filters.ChoiceFilter(label=_("result"), choices=_choices(BillRow, "result"))
    kind = django_filters.ChoiceFilter(label=_("movement"), choices=_choices(BillRow, "kind"))

    class Meta:
        model = BillRow
        fields: list[str] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.filters["bill"].extra["choices"] = Bills(Bill.objects.order_by("-pk"))


class Bills(Offered):
    """Bills by the names of their files."""

    columns = ("pk", "file_name")
