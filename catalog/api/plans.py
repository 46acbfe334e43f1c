"""Plans: prices of a service level."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Author, Choice, Input, Moment, Nothing, RowId, Text, Whole
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST, by_number, by_text
from amp.foundation.api.rows import Row
from amp.foundation.models import Enterprise, Merchant, Scope
from amp.foundation.services.enterprises import effective_merchant
from catalog.filters import PlanFilters
from catalog.models import Plan, PlanType, Product, ServiceLevel
from catalog.models.plans import MAX_AMOUNT
from catalog.services.plans import (
    TERMS,
    change_draft,
    draft_next_version,
    draft_plan,
    lock_family,
    publish_plan,
    withdraw_plan,
)


class LevelAnswer(Row):
    """What a plan gives. `product` is the one whose standard level this is; null for a level of one's own."""

    product = serializers.IntegerField(source="standard_of_id", allow_null=True)

    class Meta:
        model = ServiceLevel
        fields = ("id", "name", "rank", "product")


class PaidTo(Row):
    """Who is paid."""

    class Meta:
        model = Merchant
        fields = ("id", "name", "merchant_id", "status")


class PlanRow(Row):
    """One version of a plan. `amount` is in minor units of `currency`: 19900 CNY are 199.00 yuan."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    level = LevelAnswer()
    merchant = PaidTo()
    created_at = Moment()
    created_by = Author()
    sale_from = Moment(allow_null=True)
    sale_until = Moment(allow_null=True)

    class Meta:
        model = Plan
        fields = (
            *("id", "family", "version", "status", "enterprise", "level", "merchant", "name", "plan_type"),
            *("amount", "currency", "months", "sale_from", "sale_until", "created_at", "created_by"),
        )


class NewPlan(Input):
    """A plan to be drafted: of the standard level of `product`, or of `level`; sold by the merchant in force."""

    enterprise = RowId(lambda: Enterprise.objects.all())
    product = RowId(lambda: Product.objects.all(), required=False)
    level = RowId(lambda: ServiceLevel.objects.all(), required=False)
    merchant = RowId(lambda: Merchant.objects.all(), required=False)
    name = Text(max_length=80)
    plan_type = Choice(choices=[kind.value for kind in PlanType], default=PlanType.MANUFACTURER.value)
    amount = Whole(min_value=0, max_value=MAX_AMOUNT)
    currency = Text(min_length=3, max_length=3)
    months = Whole(min_value=1, max_value=120)
    sale_from = Moment(required=False, allow_null=True, default=None)
    sale_until = Moment(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of product and level; the merchant in force unless one is named."""
        product = attrs.pop("product", None)
        if (product is None) == ("level" not in attrs):
            raise serializers.ValidationError({"level": [_("Give either a product or a service level.")]})
        if product is not None:
            attrs["level"] = product.standard_level
        attrs["merchant"] = attrs.get("merchant") or effective_merchant(attrs["enterprise"])
        if attrs["merchant"] is None:
            raise serializers.ValidationError({"merchant": [_("The enterprise has no verified merchant yet.")]})
        return attrs


class PlanChange(Input):
    """Other terms; what is left out stays as it is. The enterprise, the type and what the plan gives never change."""

    merchant = RowId(lambda: Merchant.objects.all(), required=False)
    name = Text(max_length=80, required=False)
    amount = Whole(min_value=0, max_value=MAX_AMOUNT, required=False)
    currency = Text(min_length=3, max_length=3, required=False)
    months = Whole(min_value=1, max_value=120, required=False)
    sale_from = Moment(required=False, allow_null=True)
    sale_until = Moment(required=False, allow_null=True)


DRAFT = OpenApiExample(
    "a year for 199 yuan",
    {"enterprise": 1, "product": 1, "name": "Annual", "amount": 19900, "currency": "CNY", "months": 12},
    request_only=True,
)
CHEAPER = OpenApiExample("another price", {"amount": 17900}, request_only=True)
READ, WRITE = Scope.PLANS_READ, Scope.PLANS_WRITE


@extend_schema_view(
    list=extend_schema(summary="List plans", tags=["plans"]),
    retrieve=extend_schema(summary="A plan", tags=["plans"]),
)
class Plans(Reading):
    """Every version of every plan in reach; what is published never changes (E3)."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "create": WRITE,
        "partial_update": WRITE,
        "new_version": WRITE,
        "publish": WRITE,
        "withdraw": WRITE,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "create": ("plan_refused",),
        "partial_update": ("plan_refused",),
        "new_version": ("plan_refused", "not_yours_to_change"),
        "publish": ("plan_refused", "not_yours_to_change"),
        "withdraw": ("plan_refused", "not_yours_to_change"),
    }
    matching: ClassVar[frozenset[str]] = frozenset({"new_version", "publish", "withdraw"})
    serializer_class = PlanRow
    filterset_class = PlanFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST, *by_text("name"), *by_number("amount"))

    def get_queryset(self) -> QuerySet[Plan]:
        """With the level and the merchant, in the same query."""
        rows: QuerySet[Plan] = Plan.objects.select_related("level", "merchant")
        return rows

    @extend_schema(summary="Draft a plan", tags=["plans"], request=NewPlan, responses={201: PlanRow}, examples=[DRAFT])
    def create(self, request: Request) -> Response:
        """A first version, not yet on sale."""
        plan = draft_plan(**self.checked(NewPlan), actor=self.actor, now=clock.now())
        return self.answered(self.shown(plan), status=201, location=f"{request.path}/{plan.pk}")

    @extend_schema(summary="Change a draft", tags=["plans"], request=PlanChange, responses=PlanRow, examples=[CHEAPER])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Other terms for a draft; what was published is followed by a new version instead."""
        plan = self._changing(pk)
        draft = change_draft(plan=plan, **self._terms(plan), actor=self.actor, now=clock.now())
        return self.answered(self.shown(draft))

    @extend_schema(
        summary="Draft a new version", tags=["plans"], request=PlanChange, responses={201: PlanRow}, examples=[CHEAPER]
    )
    @action(detail=True, methods=["post"], url_path="versions")
    def new_version(self, request: Request, pk: str) -> Response:
        """A draft with these terms, else those of this version. It replaces what is on sale once it is published."""
        plan = self._changing(pk)
        draft = draft_next_version(plan=plan, **self._terms(plan), actor=self.actor, now=clock.now())
        return self.answered(self.shown(draft), status=201, location=f"/api/v1/plans/{draft.pk}")

    @extend_schema(summary="Publish a draft", tags=["plans"], request=Nothing, responses=PlanRow)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str) -> Response:
        """Put it on sale; the version before it is withdrawn in the same step."""
        self.checked(Nothing)
        plan = publish_plan(plan=self._changing(pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(plan))

    @extend_schema(summary="Withdraw a plan", tags=["plans"], request=Nothing, responses=PlanRow)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take it off sale, or drop a draft. Orders that were made keep their price."""
        self.checked(Nothing)
        plan = withdraw_plan(plan=self._changing(pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(plan))

    def _changing(self, pk: str) -> Any:
        """The plan, with all its versions locked as the services lock them."""
        return self.changing(self.get_queryset(), pk, lock=lock_family)

    def _terms(self, plan: Plan) -> dict[str, Any]:
        """The plan's terms with the changes that were sent."""
        return {name: getattr(plan, name) for name in TERMS} | self.checked(PlanChange)
