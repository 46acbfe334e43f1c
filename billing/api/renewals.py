"""Renewing the service of one device: what is offered, and ordering it."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint
from amp.foundation.api.fields import Input, Moment, RowId
from amp.foundation.models import Scope
from billing.api.orders import OrderRow, opened
from billing.services.quoting import other_level, refusal_text
from catalog.models import Plan
from catalog.services.plans import plans_on_sale
from devices.models import Device, DeviceService
from devices.services.renewal import Quote, quote_periods


class OfferRow(serializers.Serializer):
    """A plan on sale for the device: the end that paying now would give, or why it can't be bought now."""

    plan = serializers.IntegerField()
    name = serializers.CharField()
    months = serializers.IntegerField()
    amount = serializers.IntegerField()
    currency = serializers.CharField()
    new_ends_at = Moment(allow_null=True)
    gives_up_months = serializers.IntegerField()
    refusal = serializers.CharField(allow_null=True)
    detail = serializers.CharField()


class OffersAnswer(serializers.Serializer):
    """What the device's service may be renewed with."""

    state = serializers.CharField()
    ends_at = Moment(allow_null=True)
    offers = OfferRow(many=True)


class Renewal(Input):
    """The plan to renew with."""

    plan = RowId(lambda: Plan.objects.select_related("merchant", "level"))


A_YEAR = OpenApiExample("one plan", {"plan": 3}, request_only=True)
RENEW = Scope.SERVICES_RENEW


class Renewals(Endpoint):
    """Below one device service."""

    scopes: ClassVar[dict[str, Scope | None]] = {"preview": RENEW, "renew": RENEW}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"renew": ("devices_not_eligible", "order_refused")}
    serializer_class = OrderRow

    @extend_schema(summary="Preview a renewal", tags=["device services"], responses=OffersAnswer)
    def preview(self, request: Request, pk: str) -> Response:
        """Each plan on sale for the device, with the end that it would give (Q5)."""
        device = self._device(pk)
        return Response(OffersAnswer(_offers(device)).data)

    @extend_schema(
        summary="Renew a service",
        tags=["device services"],
        request=Renewal,
        responses={201: OrderRow},
        examples=[A_YEAR],
    )
    def renew(self, request: Request, pk: str) -> Response:
        """An order for the device; it is renewed when the order is paid (Q3)."""
        wanted = self.checked(Renewal)
        device = self._device(pk)
        order = opened({**wanted, "devices": [device.pk], "continue_without_refused": False}, self.actor)
        return self.answered(self.shown(order), status=201, location=f"/api/v1/orders/{order.pk}")

    def _device(self, pk: str) -> Device:
        rows = Device.objects.select_related("product__enterprise", "enterprise", "service")
        device: Device = self.found(rows, pk)
        return device


def _offers(device: Device) -> dict[str, Any]:
    now = clock.now()
    plans = plans_on_sale(product=device.product, device_enterprise=device.enterprise, now=now)
    quotes = quote_periods(device.pk, months={1, *(plan.months for plan in plans)}, now=now)
    service = device.service
    standing = quotes[1]
    return {
        "state": standing.state.value,
        "ends_at": standing.ends_at,
        "offers": [_offer(plan, quotes[plan.months], service) for plan in plans if plan.amount],
    }


def _offer(plan: Plan, quoted: Quote, service: DeviceService) -> dict[str, Any]:
    refusal = quoted.refusal.value if quoted.refusal else other_level(plan, quoted, service.level_id)
    renewed = quoted.renewal if refusal is None else None
    return {
        "plan": plan.pk,
        "name": plan.name,
        "months": plan.months,
        "amount": plan.amount,
        "currency": plan.currency,
        "new_ends_at": renewed.ends_at if renewed else None,
        "gives_up_months": quoted.gives_up_months,
        "refusal": refusal,
        "detail": refusal_text(refusal) if refusal else "",
    }
