"""An order's receipt, as fields and as PDF."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation.api.endpoints import Endpoint
from amp.foundation.api.fields import Moment
from amp.foundation.api.rendering import Json, Pdf
from amp.foundation.models import Scope
from billing.models import Order
from billing.papers import receipt_pdf
from billing.services.receipts import Receipt, receipt_of


class MovementAnswer(serializers.Serializer):
    """Money that came in or went back; `transaction_id` is the gateway's own number."""

    number = serializers.CharField()
    provider = serializers.CharField()
    transaction_id = serializers.CharField()
    amount = serializers.IntegerField()
    currency = serializers.CharField()
    at = Moment()


class ReceiptAnswer(serializers.Serializer):
    """What was paid for an order, what went back, and what is left of it. `is_test` marks sandbox money.

    Amounts are minor units of `currency`. The devices are those of the order's lines.
    """

    order = serializers.CharField(source="order.number")
    merchant_name = serializers.CharField(source="order.merchant_name")
    plan_name = serializers.CharField(source="order.plan_name")
    devices = serializers.IntegerField(source="order.line_count")
    unit_amount = serializers.IntegerField(source="order.unit_amount")
    total = serializers.IntegerField(source="order.total")
    refunded = serializers.IntegerField()
    remaining = serializers.IntegerField()
    currency = serializers.CharField(source="order.currency")
    paid_at = Moment(source="order.paid_at")
    is_test = serializers.BooleanField()
    payments = MovementAnswer(many=True)
    refunds = MovementAnswer(many=True)


class Receipts(Endpoint):
    """Of orders in the key's scope."""

    scopes: ClassVar[dict[str, Scope | None]] = {"receipt": Scope.ORDERS_READ, "file": Scope.ORDERS_READ}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"receipt": ("no_receipt",), "file": ("no_receipt",)}
    renderer_classes = [Json, Pdf]

    @extend_schema(
        summary="An order's receipt",
        tags=["orders"],
        responses={(200, "application/json"): ReceiptAnswer, (200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def receipt(self, request: Request, pk: str) -> HttpResponseBase:
        """Once the order is paid; as PDF where `Accept` is `application/pdf`."""
        if request.accepted_renderer.format == Pdf.format:
            return self.file(request, pk)
        return Response(ReceiptAnswer(self._receipt(pk, most_lines=0)).data)

    @extend_schema(
        summary="An order's receipt as PDF", tags=["orders"], responses={(200, "application/pdf"): OpenApiTypes.BINARY}
    )
    def file(self, request: Request, pk: str) -> HttpResponse:
        """With all its devices; language by Accept-Language, days in the enterprise's time zone."""
        receipt = self._receipt(pk)
        with timezone.override(receipt.order.enterprise.time_zone):
            answer = HttpResponse(receipt_pdf(receipt), content_type="application/pdf")
        answer["Content-Disposition"] = f'attachment; filename="receipt-{receipt.order.number}.pdf"'
        return answer

    def _receipt(self, pk: Any, most_lines: int | None = None) -> Receipt:
        order = self.found(Order.objects.select_related("enterprise"), pk)
        return receipt_of(order, most_lines=most_lines)
