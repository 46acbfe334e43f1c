"""Filters of enterprises, shared by their list in the admin and in the API: a closed list (F72)."""

from __future__ import annotations

import django_filters as filters
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.money import MINOR_DIGITS


class EnterpriseFilters(filters.FilterSet):
    """By name, place in the tree and currency."""

    name = filters.CharFilter(lookup_expr="icontains", label=_("name contains"), max_length=120)
    parent = filters.NumberFilter(label=_("id of the parent enterprise"), min_value=1, max_value=2**63 - 1)
    currency = filters.ChoiceFilter(choices=[(code, code) for code in sorted(MINOR_DIGITS)], label=_("currency"))

    class Meta:
        model = Enterprise
        fields: tuple[str, ...] = ()
