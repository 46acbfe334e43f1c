"""Filters of products and plans, shared by the lists of the admin and the API: closed lists (F72)."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from amp.foundation.filters import IdFilter
from amp.foundation.lists.filters import ListFilterSet
from amp.foundation.money import MINOR_DIGITS
from catalog.models import Plan, Product


class ProductFilters(ListFilterSet):
    """By name, key and owner."""

    searched: ClassVar[tuple[str, ...]] = ("name",)

    name = filters.CharFilter(lookup_expr="istartswith", label=_("name begins with"), max_length=120)
    key = filters.CharFilter(label=_("product key"), max_length=32)
    enterprise = IdFilter(field_name="enterprise_id", label=_("id of the enterprise"))

    class Meta:
        model = Product
        fields: tuple[str, ...] = ()


class PlanFilters(ListFilterSet):
    """By state, type, owner, and the product that the plan renews."""

    status = filters.ChoiceFilter(choices=Plan._meta.get_field("status").choices, label=_("status"))
    plan_type = filters.ChoiceFilter(choices=Plan._meta.get_field("plan_type").choices, label=_("type"))
    currency = filters.ChoiceFilter(choices=[(code, code) for code in sorted(MINOR_DIGITS)], label=_("currency"))
    family = filters.UUIDFilter(label=_("all versions of one plan"))
    enterprise = IdFilter(field_name="enterprise_id", label=_("id of the enterprise"))
    product = IdFilter(method="offered_for", label=_("id of the product"))

    class Meta:
        model = Plan
        fields: tuple[str, ...] = ()

    def offered_for(self, rows: QuerySet[Any], _name: str, value: Any) -> QuerySet[Any]:
        """Plans whose level is offered for a product in scope; of another tenant's there are none."""
        levels = Product.objects.filter(pk=value).values("levels")
        return rows.filter(level__in=levels)
