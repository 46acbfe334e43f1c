"""Orders: previewed, opened, paid by a code, followed, cancelled (Q1–Q5)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Flag, Moment, Nothing, RowId
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Row
from amp.foundation.lists.keyset import Ordering
from amp.foundation.models import Scope
from billing.api.choices import Chosen, Devices, devices_of, refusal
from billing.filters import OrderFilters, OrderLineFilters
from billing.models import Order, OrderChannel, OrderLine
from billing.orders import CodeForm
from billing.services.attempts import start_attempt
from billing.services.links import address_of_link, link_to
from billing.services.ordering import DevicesNotEligible, cancel_order, open_order
from billing.services.quoting import Quote, QuoteLine, quote, refusal_text
from catalog.models import Plan


class OrderRow(Row):
    """Devices × one plan, as it was offered. Amounts are minor units of `currency`."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    plan = serializers.IntegerField(source="plan_id")
    devices = serializers.IntegerField(source="line_count")
    created_at = Moment()
    expires_at = Moment()
    paid_at = Moment(allow_null=True)
    fulfilled_at = Moment(allow_null=True)

    class Meta:
        model = Order
        fields = (
            *("id", "number", "status", "channel", "enterprise", "plan", "plan_name", "merchant_name", "months"),
            *("unit_amount", "total", "currency", "devices", "created_at", "created_by", "expires_at", "paid_at"),
            "fulfilled_at",
        )


class LineRow(Row):
    """One device of an order: the end that was previewed, the one it got, or why the money was not applied (Q4)."""

    device = serializers.IntegerField(source="device_id")
    key = serializers.CharField(source="device.key")
    previewed_ends_at = Moment(allow_null=True)
    ends_at = Moment(allow_null=True)

    class Meta:
        model = OrderLine
        fields = ("id", "device", "key", "amount", "status", "previewed_ends_at", "ends_at", "reason")


class NewOrder(Chosen):
    """Devices and the plan that renews them: `devices` by id, `keys`, or `filter`; a device named twice counts once.

    With `continue_without_refused` the order is of those that can be renewed; else one bad device refuses all.
    """

    plan = RowId(lambda: Plan.objects.select_related("merchant", "level"))
    continue_without_refused = Flag(required=False, default=False)


class PreviewLine(serializers.Serializer):
    """What the order would do to one device: `refusal` with its sentence, or the end it would get."""

    device = serializers.IntegerField(source="device_id")
    key = serializers.CharField(source="device_key")
    amount = serializers.IntegerField()
    ends_at = Moment(source="previous_ends_at", allow_null=True)
    new_ends_at = Moment(source="ends_at", allow_null=True)
    gives_up_months = serializers.IntegerField()
    refusal = serializers.CharField(allow_null=True)
    detail = serializers.SerializerMethodField()

    def get_detail(self, line: QuoteLine) -> str:
        """The sentence for the refusal; empty where there is none."""
        return refusal_text(line.refusal) if line.refusal else ""


class PreviewReason(serializers.Serializer):
    """Why devices would be left out, and how many."""

    refusal = serializers.CharField()
    detail = serializers.CharField()
    devices = serializers.IntegerField()


class PreviewLost(serializers.Serializer):
    """A key that leads to no device: its place in the request, a code, a sentence."""

    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class OrderPreview(serializers.Serializer):
    """What the order would do and cost; nothing is made. `unknown` are keys that lead to no device."""

    total = serializers.IntegerField()
    currency = serializers.CharField()
    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    refusals = PreviewReason(many=True)
    unknown = PreviewLost(many=True)
    lines = PreviewLine(many=True)


class PaymentAnswer(serializers.Serializer):
    """The open payment of an order, and `pay_url`: a page of ours on which any browser pays as it can.

    `code` is empty while the gateway's answer is unknown: ask again in some seconds. `code_form` says what to do with
    it: draw it (QR), open it (LINK), hand it to the gateway's script (PARAMETERS), write it on a transfer (REFERENCE).
    """

    number = serializers.CharField()
    status = serializers.CharField()
    provider = serializers.CharField()
    amount = serializers.IntegerField()
    currency = serializers.CharField()
    code = serializers.CharField()
    code_form = serializers.ChoiceField(choices=[each.value for each in CodeForm], allow_blank=True)
    code_expires_at = Moment(allow_null=True)
    pay_url = serializers.CharField()
    problem = serializers.CharField()
    expires_at = Moment()


ORDERS = [
    OpenApiExample("two devices for a year", {"devices": [17, 18], "plan": 3}, request_only=True),
    OpenApiExample("by their keys", {"keys": [{"key": "DK0000481290"}], "plan": 3}, request_only=True),
    OpenApiExample(
        "all that have expired",
        {"filter": {"state": "EXPIRED"}, "plan": 3, "continue_without_refused": True},
        request_only=True,
    ),
]
READ, RENEW = Scope.ORDERS_READ, Scope.SERVICES_RENEW
# Named as `OrderFilters.decides_order` has them: a range of days is read along their index.
BY_CREATION = tuple(
    Ordering(name, name, column="created_at", descending=name[0] == "-") for name in ("created", "-created")
)


@extend_schema_view(
    list=extend_schema(summary="List orders", tags=["orders"]),
    retrieve=extend_schema(summary="An order", tags=["orders"]),
)
class Orders(Reading):
    """Orders for devices of the key's enterprises, whoever opened them."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "create": RENEW,
        "preview": RENEW,
        "cancel": RENEW,
        "payment": RENEW,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "create": ("devices_not_eligible", "order_refused"),
        "cancel": ("order_refused",),
        "payment": ("order_refused", "account_refused"),
    }
    # A payment in flight is returned, not doubled, so asking again is safe without a key.
    computing: ClassVar[frozenset[str]] = frozenset({"preview", "payment"})
    serializer_class = OrderRow
    filterset_class = OrderFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST, *BY_CREATION)

    def get_queryset(self) -> QuerySet[Order]:
        """Within the scope."""
        rows: QuerySet[Order] = Order.objects.all()
        return rows

    @extend_schema(
        summary="Open an order", tags=["orders"], request=NewOrder, responses={201: OrderRow}, examples=ORDERS
    )
    def create(self, request: Request) -> Response:
        """An order that waits for payment, with a frozen copy of what is offered (E3)."""
        order = opened(self.checked(NewOrder), self.actor)
        return self.answered(self.shown(order), status=201, location=f"{request.path}/{order.pk}")

    @extend_schema(summary="Preview an order", tags=["orders"], request=NewOrder, responses=OrderPreview)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """The end that each device would get, or why it can't be renewed with this plan (Q5)."""
        wanted = self.checked(NewOrder)
        meant = devices_of(wanted)
        offered = quote(device_ids=meant.ids, plan=wanted["plan"], now=clock.now())
        return Response(OrderPreview(_told(offered, meant)).data)

    @extend_schema(summary="Cancel an order", tags=["orders"], request=Nothing, responses=OrderRow)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """One that waits for payment. Somebody who pays its code all the same is served (F27)."""
        self.checked(Nothing)
        order = cancel_order(order=self.found(self.get_queryset(), pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(order))

    @extend_schema(summary="Ask for a payment code", tags=["orders"], request=Nothing, responses=PaymentAnswer)
    @action(detail=True, methods=["post"])
    def payment(self, request: Request, pk: str) -> Response:
        """The code that a payer scans, and a page to pay on; the open ones are returned while they last."""
        self.checked(Nothing)
        order, now = self.found(self.get_queryset(), pk), clock.now()
        attempt = start_attempt(order=order, now=now, wall=clock.wall())
        told = vars(attempt) | {"pay_url": address_of_link(link_to(order=order, now=now))}
        return Response(PaymentAnswer(told).data)


class OrderLines(Reading):
    """The devices of one order."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ}
    serializer_class = LineRow
    filterset_class = OrderLineFilters
    orderings = (OLDEST_FIRST, NEWEST_FIRST)

    def get_queryset(self) -> QuerySet[OrderLine]:
        """Lines of an order in reach; 404 for any other."""
        if getattr(self, "swagger_fake_view", False):  # the schema asks for the model, and names no order
            return OrderLine._base_manager.none()
        order = self.found(Order.objects.all(), self.kwargs["pk"])
        rows: QuerySet[OrderLine] = OrderLine.objects.filter(order=order).select_related("device")
        return rows

    @extend_schema(summary="Lines of an order", tags=["orders"], responses=LineRow(many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page of lines."""
        return super().list(request, *args, **kwargs)


def opened(wanted: dict[str, Any], actor: str) -> Order:
    """The order, or the problem that names each device that stands in the way."""
    meant = devices_of(wanted)
    goes_on = wanted["continue_without_refused"]
    if meant.lost and not (goes_on and meant.ids):
        raise refusal(quote(device_ids=meant.ids, plan=wanted["plan"], now=clock.now()) if meant.ids else None, meant)
    try:
        return open_order(
            device_ids=meant.ids,
            plan=wanted["plan"],
            channel=OrderChannel.API,
            created_by=actor,
            once_key=None,  # the request itself is done once (R7)
            now=clock.now(),
            continue_without_refused=goes_on,
        )
    except DevicesNotEligible as refused:
        raise refusal(refused.quote, meant) from None


def _told(offered: Quote, meant: Devices) -> dict[str, Any]:
    reasons = [
        {"refusal": code, "detail": refusal_text(code), "devices": devices} for code, devices in offered.reasons.items()
    ]
    return {
        "total": offered.total,
        "currency": offered.currency,
        "accepted": len(offered.accepted),
        "refused": len(offered.refused),
        "refusals": reasons,
        "unknown": [each._asdict() for each in meant.lost],
        "lines": offered.lines,
    }
