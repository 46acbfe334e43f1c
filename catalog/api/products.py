"""Products and their thing models."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Author, Input, Moment, RowId, Text
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST, by_text
from amp.foundation.api.problems import ApiProblem, FieldError
from amp.foundation.api.rows import Row
from amp.foundation.models import Enterprise, Scope
from amp.foundation.scoping import may_change
from catalog import tsl
from catalog.filters import ProductFilters
from catalog.models import Product, ServiceRule, ThingModel
from catalog.services.products import create_product, edit_product, import_thing_model

MAX_DESCRIPTION = 10_000


class ProductRow(Row):
    """A kind of device. `tsl_version` is null before the first import."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    created_at = Moment()
    paid_mode = serializers.BooleanField()
    tsl_version = serializers.IntegerField(allow_null=True)

    class Meta:
        model = Product
        fields = ("id", "enterprise", "name", "key", "description", "paid_mode", "tsl_version", "created_at")


class NewProduct(Input):
    """A product to be made; the key is given by us unless one is wanted."""

    enterprise = RowId(lambda: Enterprise.objects.all())
    name = Text(max_length=120)
    description = Text(max_length=MAX_DESCRIPTION, required=False, allow_blank=True, default="")
    key = Text(max_length=32, required=False)


class ProductChange(Input):
    """What people read; left out means as it is. The key is part of topics and stays."""

    name = Text(max_length=120, required=False)
    description = Text(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)


class ThingModelAnswer(serializers.ModelSerializer):
    """The thing model in force."""

    created_at = Moment()
    created_by = Author()
    document = serializers.JSONField()

    class Meta:
        model = ThingModel
        fields = ("version", "created_at", "created_by", "document")


NEW_PRODUCT = OpenApiExample("new product", {"enterprise": 1, "name": "GreenMeter 2"}, request_only=True)
READ, WRITE = Scope.PRODUCTS_READ, Scope.PRODUCTS_WRITE


@extend_schema_view(
    list=extend_schema(summary="List products", tags=["products"]),
    retrieve=extend_schema(summary="A product", tags=["products"]),
)
class Products(Reading):
    """Products of the key's enterprises, and of those above, which may be read only (E1)."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "create": WRITE,
        "partial_update": WRITE,
        "thing_model": READ,
        "import_thing_model": WRITE,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "create": ("product_refused", "not_yours_to_change"),
        "partial_update": ("product_refused",),
        "import_thing_model": ("invalid_tsl", "thing_model_refused", "not_yours_to_change"),
    }
    serializer_class = ProductRow
    filterset_class = ProductFilters
    orderings = (OLDEST_FIRST, NEWEST_FIRST, *by_text("name"))

    def get_queryset(self) -> QuerySet[Product]:
        """With the mode of the rule in force and the newest TSL, in the same query."""
        rules = ServiceRule.objects.filter(product=OuterRef("pk"), is_current=True)
        models = ThingModel.objects.filter(product=OuterRef("pk")).order_by("-version")
        rows: QuerySet[Product] = Product.objects.annotate(
            paid_mode=Subquery(rules.values("paid_mode")[:1]), tsl_version=Subquery(models.values("version")[:1])
        )
        return rows

    @extend_schema(
        summary="Make a product",
        tags=["products"],
        request=NewProduct,
        responses={201: ProductRow},
        examples=[NEW_PRODUCT],
    )
    def create(self, request: Request) -> Response:
        """A product with its standard level and its first rule, which is off (A1)."""
        wanted = self.checked(NewProduct)
        product = create_product(**wanted, actor=self.actor, now=clock.now())
        shown = self.shown(self.found(self.get_queryset(), product.pk))
        return self.answered(shown, status=201, location=f"{request.path}/{product.pk}")

    @extend_schema(summary="Change a product", tags=["products"], request=ProductChange, responses=ProductRow)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Name and description."""
        product = self.changing(self.get_queryset(), pk)
        wanted = {"name": product.name, "description": product.description, **self.checked(ProductChange)}
        edit_product(product=product, **wanted, actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))

    @extend_schema(summary="The TSL in force", tags=["products"], responses=ThingModelAnswer)
    @action(detail=True, methods=["get"], url_path="tsl")
    def thing_model(self, request: Request, pk: str) -> Response:
        """The thing model that devices of this product speak; 404 before the first import."""
        product = self.found(Product.objects.all(), pk)
        model = ThingModel.objects.filter(product=product).order_by("-version").first()
        if model is None:
            raise ApiProblem("not_found")
        return self.answered(ThingModelAnswer(model).data)

    @extend_schema(
        summary="Import a TSL",
        tags=["products"],
        request=OpenApiTypes.OBJECT,
        responses={201: ThingModelAnswer},
    )
    @thing_model.mapping.post
    def import_thing_model(self, request: Request, pk: str) -> Response:
        """The body is the document itself. The same document again makes no new version."""
        product = self.found(Product.objects.all(), pk)
        if not may_change(product.enterprise_id):
            raise ApiProblem("not_yours_to_change")
        _ = request.data  # refuses what isn't JSON; the service reads the very bytes, so that repeated keys show
        try:
            model = import_thing_model(product=product, text=request._request.body, actor=self.actor, now=clock.now())
        except tsl.InvalidTsl as invalid:
            raise _not_a_tsl(invalid) from None
        return self.answered(ThingModelAnswer(model).data, status=201, location=request.path)


def _not_a_tsl(invalid: tsl.InvalidTsl) -> ApiProblem:
    errors = [FieldError(problem.path, "refused", problem.message) for problem in invalid.problems[:100]]
    return ApiProblem("invalid_tsl", str(invalid), errors)
