"""Filters of enterprises, shared by their list in the admin and in the API: a closed list (F72)."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django import forms
from django.utils.translation import gettext_lazy as _

from amp.foundation.lists.filters import ListFilterSet
from amp.foundation.models import Enterprise
from amp.foundation.money import MINOR_DIGITS


class IdFilter(filters.Filter):
    """The id of a row: a whole number that fits into a column. Another tenant's finds what a missing one finds."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=1, max_value=2**63 - 1, **options)


class EnterpriseFilters(ListFilterSet):
    """By name, place in the tree and currency."""

    name = filters.CharFilter(lookup_expr="icontains", label=_("name contains"), max_length=120)
    parent = IdFilter(field_name="parent_id", label=_("id of the parent enterprise"))
    currency = filters.ChoiceFilter(choices=[(code, code) for code in sorted(MINOR_DIGITS)], label=_("currency"))

    class Meta:
        model = Enterprise
        fields: tuple[str, ...] = ()
