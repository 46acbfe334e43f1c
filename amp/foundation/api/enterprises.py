"""The enterprises that a key reaches: its own and the ones below (E1)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Moment
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST, by_text
from amp.foundation.api.rows import Derived, Row
from amp.foundation.filters import EnterpriseFilters
from amp.foundation.models import Enterprise, Scope
from amp.foundation.scoping import may_change
from amp.foundation.services.enterprises import effective_merchant


@extend_schema_field({"type": ["integer", "null"], "description": "Null at the top of what the key reaches."})
class Parent(Derived):
    """Nobody learns where in a larger tree they hang (R6)."""

    columns = ("parent_id",)

    def of(self, above: int | None) -> int | None:
        """Null at the top of what the key reaches."""
        return above if above is not None and may_change(above) else None


class EnterpriseRow(Row):
    """A node of the tree. `parent` is null at the top of what the key reaches."""

    parent: Any = Parent()
    created_at = Moment()

    class Meta:
        model = Enterprise
        fields = ("id", "name", "parent", "time_zone", "currency", "created_at")


class MerchantAnswer(serializers.Serializer):
    """Who is paid."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    merchant_id = serializers.CharField()


class EnterpriseDetails(EnterpriseRow):
    """With the merchant that plans of the enterprise sell through: its own, or the nearest above (E1)."""

    merchant = serializers.SerializerMethodField()

    class Meta(EnterpriseRow.Meta):
        fields = (*EnterpriseRow.Meta.fields, "merchant")  # type: ignore[assignment]

    @extend_schema_field(MerchantAnswer(allow_null=True))
    def get_merchant(self, enterprise: Enterprise) -> dict[str, Any] | None:
        """Null where none is verified yet."""
        merchant = effective_merchant(enterprise)
        return MerchantAnswer(merchant).data if merchant else None


@extend_schema_view(
    list=extend_schema(summary="List enterprises", tags=["enterprises"], responses=EnterpriseRow(many=True)),
    retrieve=extend_schema(summary="An enterprise", tags=["enterprises"], responses=EnterpriseDetails),
)
class Enterprises(Reading):
    """The tree, read only: enterprises are made in the admin."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": Scope.ENTERPRISES_READ, "retrieve": Scope.ENTERPRISES_READ}
    serializer_class = EnterpriseRow
    filterset_class = EnterpriseFilters
    orderings = (OLDEST_FIRST, NEWEST_FIRST, *by_text("name"))

    def get_queryset(self) -> QuerySet[Enterprise]:
        """Within the scope."""
        rows: QuerySet[Enterprise] = Enterprise.objects.all()
        return rows

    def shown(self, row: Enterprise) -> Any:
        """The row with its merchant."""
        return EnterpriseDetails(row).data
