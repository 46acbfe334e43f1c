"""Requests for a fapiao: asked for once an order is paid, then issued or refused by the seller's finance."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint, Reading
from amp.foundation.api.fields import Input, Moment, Text
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Row
from amp.foundation.models import Scope
from billing.fapiao import LONGEST_TITLE, Buyer
from billing.filters import FapiaoFilters
from billing.models import FapiaoRequest, Order
from billing.services.fapiao import request_fapiao

READ, WRITE = Scope.FAPIAO_READ, Scope.FAPIAO_WRITE
COMPANY = OpenApiExample(
    "for a company",
    {"title": "上海暖通科技有限公司", "tax_number": "91310000MA1FL0XX8A", "email": "accounts@example.com"},
    request_only=True,
)


class FapiaoRow(Row):
    """Who asked for the fapiao of an order, over how much, and what became of it. `amount` is minor units of CNY.

    `number` is there once it is issued, `reason` once it is refused; then it may be requested anew.
    """

    enterprise = serializers.IntegerField(source="enterprise_id")
    order = serializers.IntegerField(source="order_id")
    requested_at = Moment()
    decided_at = Moment(allow_null=True)

    class Meta:
        model = FapiaoRequest
        fields = (
            *("id", "status", "enterprise", "order", "title", "tax_number", "email", "amount", "currency"),
            *("requested_at", "requested_by", "number", "reason", "decided_at", "decided_by"),
        )


class Particulars(Input):
    """Who the fapiao is for: the name and the tax number as they are registered, and where it is sent."""

    title = Text(max_length=LONGEST_TITLE)
    tax_number = Text(max_length=30)
    email = Text(max_length=254)


@extend_schema_view(
    list=extend_schema(summary="List fapiao requests", tags=["orders"]),
    retrieve=extend_schema(summary="A fapiao request", tags=["orders"]),
)
class FapiaoRequests(Reading):
    """Of orders in the key's enterprises."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ, "retrieve": READ}
    serializer_class = FapiaoRow
    filterset_class = FapiaoFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[FapiaoRequest]:
        """Within the scope."""
        rows: QuerySet[FapiaoRequest] = FapiaoRequest.objects.all()
        return rows


class OrderFapiao(Endpoint):
    """The fapiao of one order."""

    scopes: ClassVar[dict[str, Scope | None]] = {"ask": WRITE}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"ask": ("fapiao_refused", "no_receipt", "not_yours_to_change")}
    serializer_class = FapiaoRow

    @extend_schema(
        summary="Request a fapiao", tags=["orders"], request=Particulars, responses={201: FapiaoRow}, examples=[COMPANY]
    )
    def ask(self, request: Request, pk: str) -> Response:
        """Over what was paid and not refunded, once per order; the seller's finance issues it."""
        order = self.mine(Order.objects.all(), pk)
        buyer = Buyer(**self.checked(Particulars))
        made = request_fapiao(order=order, buyer=buyer, actor=self.actor, now=clock.now())
        return self.answered(self.shown(made), status=201, location=f"/api/v1/fapiao-requests/{made.pk}")
