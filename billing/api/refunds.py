"""Refunds and payment exceptions: listed, asked for, approved by another person, resolved (F44, R1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint, Reading
from amp.foundation.api.fields import MAX_ID, Choice, Input, Moment, Nothing, Text, Whole
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.problems import ApiProblem
from amp.foundation.api.rows import Derived, Row
from amp.foundation.models import Scope
from amp.foundation.money import MAX_MINOR
from amp.foundation.scoping import may_change
from billing.filters import ExceptionFilters, RefundFilters
from billing.models import Effect, Order, PaymentException, Refund
from billing.orders import MAX_LINES, ExceptionKind
from billing.refunds import RESOLUTIONS, Resolution
from billing.services.case_words import told
from billing.services.refunds import approve_refund, request_refund
from billing.services.resolving import resolve_exception

READ, WRITE = Scope.PAYMENTS_READ, Scope.REFUNDS_WRITE
HALF = OpenApiExample(
    "give back half of one device's year",
    {"amount": 9950, "lines": [41], "effect": "SHORTEN", "reason": "device returned"},
    request_only=True,
)


def _check_seller(order: Order) -> None:
    """The money is the seller's: a key of a buyer below may read of it, but not send it back (R6)."""
    if not may_change(order.merchant.enterprise_id):
        raise ApiProblem("not_yours_to_change")


class RefundRow(Row):
    """One payment given back, whole or in part. Amounts are minor units of `currency`."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    order = serializers.IntegerField(source="order_id")
    payment = serializers.CharField(source="attempt.number")
    created_at = Moment()
    approved_at = Moment(allow_null=True)
    ended_at = Moment(allow_null=True)

    class Meta:
        model = Refund
        fields = (
            *("id", "number", "status", "enterprise", "order", "payment", "amount", "currency", "effect", "reason"),
            *("needs_two", "requested_by", "approved_by", "created_at", "approved_at", "ended_at", "problem"),
        )


@extend_schema_field({"type": "array", "items": {"type": "string"}, "description": "Empty once it is resolved."})
class Ways(Derived):
    """How an exception may be resolved."""

    columns = ("kind", "resolved_at")

    def of(self, kind: str, resolved_at: datetime | None) -> list[str]:
        """Empty once it is resolved."""
        return [] if resolved_at else [each.value for each in RESOLUTIONS[ExceptionKind(kind)]]


@extend_schema_field({"type": "string", "description": "Which facts there are; stable."})
class CaseCode(Derived):
    """What happened, by code."""

    columns = ("facts",)

    def of(self, facts: dict[str, Any]) -> str:
        """One of the codes of `billing.services.case_words`."""
        return str(facts.get("code", ""))


@extend_schema_field({"type": "object", "description": "What it is about; amounts are minor units."})
class CaseFacts(Derived):
    """The facts beside their code."""

    columns = ("facts",)

    def of(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Names and values."""
        return {name: value for name, value in facts.items() if name != "code"}


@extend_schema_field({"type": "string", "description": "The facts in a sentence, in the language of the request."})
class CaseDetail(Derived):
    """The facts in words."""

    columns = ("facts",)

    def of(self, facts: dict[str, Any]) -> str:
        """One sentence."""
        return told(facts)


class ExceptionRow(Row):
    """Money that came in and could not simply be applied; `ways` are the resolutions that it offers."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    order = serializers.IntegerField(source="attempt.order_id")
    payment = serializers.CharField(source="attempt.number")
    code = CaseCode()
    facts = CaseFacts()
    detail = CaseDetail()
    ways = Ways()
    resolution = serializers.CharField()  # empty until somebody has decided
    created_at = Moment()
    resolved_at = Moment(allow_null=True)

    class Meta:
        model = PaymentException
        fields = (
            *("id", "kind", "enterprise", "order", "payment", "amount", "currency", "code", "facts", "detail"),
            *("ways", "created_at", "resolved_at", "resolved_by", "resolution", "resolution_reason"),
        )


class NewRefund(Input):
    """What goes back: all of the order unless `lines` names some, all that is left unless `amount` says less.

    `days` says how much time one device loses, in the place of what the amount is worth.
    """

    amount = Whole(min_value=1, max_value=MAX_MINOR, required=False)
    lines = serializers.ListField(
        child=Whole(min_value=1, max_value=MAX_ID), min_length=1, max_length=MAX_LINES, required=False
    )
    days = Whole(min_value=0, max_value=10_980, required=False)
    effect = Choice(choices=[each.value for each in Effect], required=False, default=Effect.SHORTEN.value)
    reason = Text(max_length=200)


class Decision(Input):
    """One of the `ways` of the exception, and why."""

    resolution = Choice(choices=[each.value for each in Resolution])
    reason = Text(max_length=200)


@extend_schema_view(
    list=extend_schema(summary="List refunds", tags=["refunds"]),
    retrieve=extend_schema(summary="A refund", tags=["refunds"]),
)
class Refunds(Reading):
    """Refunds of payments for the key's enterprises, whoever asked for them."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "approve": Scope.REFUNDS_APPROVE,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"approve": ("refund_refused",)}
    serializer_class = RefundRow
    filterset_class = RefundFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[Refund]:
        """Within the scope."""
        rows: QuerySet[Refund] = Refund.objects.select_related("attempt")
        return rows

    @extend_schema(summary="Approve a refund", tags=["refunds"], request=Nothing, responses=RefundRow)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let it go to the gateway. A key speaks for the person who made it: who asked can't approve."""
        self.checked(Nothing)
        refund = self.found(self.get_queryset().select_related("order__merchant"), pk)
        _check_seller(refund.order)
        approve_refund(refund=refund, by=self.caller.person, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))


class OrderRefunds(Endpoint):
    """Refunds of one order."""

    scopes: ClassVar[dict[str, Scope | None]] = {"ask": WRITE}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"ask": ("refund_refused",)}
    serializer_class = RefundRow

    @extend_schema(
        summary="Ask for a refund", tags=["refunds"], request=NewRefund, responses={201: RefundRow}, examples=[HALF]
    )
    def ask(self, request: Request, pk: str) -> Response:
        """Approved at once up to the platform's threshold, by another person above it; the device feels it once the
        money is back."""
        order = self.found(Order.objects.select_related("merchant"), pk)
        _check_seller(order)
        wanted = self.checked(NewRefund)
        refund = request_refund(
            order=order,
            effect=Effect(wanted["effect"]),
            reason=wanted["reason"],
            asked_by=self.caller.person,
            amount=wanted.get("amount"),
            line_ids=wanted.get("lines"),
            days=wanted.get("days"),
            now=clock.now(),
        )
        refund = Refund.objects.select_related("attempt").get(pk=refund.pk)
        return self.answered(self.shown(refund), status=201, location=f"/api/v1/refunds/{refund.pk}")


@extend_schema_view(
    list=extend_schema(summary="List payment exceptions", tags=["refunds"]),
    retrieve=extend_schema(summary="A payment exception", tags=["refunds"]),
)
class Exceptions(Reading):
    """Money of the key's enterprises that needs a decision, or needed one."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "resolve": Scope.PAYMENTS_RESOLVE,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"resolve": ("resolution_refused", "refund_refused")}
    serializer_class = ExceptionRow
    filterset_class = ExceptionFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[PaymentException]:
        """Within the scope."""
        rows: QuerySet[PaymentException] = PaymentException.objects.select_related("attempt")
        return rows

    @extend_schema(summary="Resolve a payment exception", tags=["refunds"], request=Decision, responses=ExceptionRow)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """Refund it, keep it, or try its devices again; the same decision again changes nothing.

        A refund needs the scope `refunds:write` too.
        """
        case = self.found(self.get_queryset().select_related("attempt__order__merchant"), pk)
        _check_seller(case.attempt.order)
        wanted: dict[str, Any] = self.checked(Decision)
        if wanted["resolution"] == Resolution.REFUND.value and WRITE.value not in self.caller.key.scopes:
            sentence = _("This needs a key with the scope %(scope)s.") % {"scope": WRITE.value}
            raise ApiProblem("scope_missing", sentence)
        resolve_exception(
            exception=case,
            resolution=Resolution(wanted["resolution"]),
            reason=wanted["reason"],
            by=self.caller.person,
            now=clock.now(),
        )
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))
