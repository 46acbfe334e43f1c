"""What the audit can be asked for: the same parameters for the page, its links and its export."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from amp.audit.subjects import subjects_called
from amp.audit.words import GROUPS, in_group
from amp.foundation.lists.filters import EnterpriseFilterSet, FromDay, ToDay
from amp.foundation.models import Event
from amp.foundation.templatetags.amp_display import actors_called


class AuditFilterSet(EnterpriseFilterSet):
    """`q` is a device's key, serial number or ICCID, an order's number, or a subject as it is stored."""

    q = django_filters.CharFilter(label=_("device or order"), method="about", max_length=80)
    group = django_filters.ChoiceFilter(
        label=_("what"), method="of_group", choices=[(group, word) for group, (word, _kinds) in GROUPS.items()]
    )
    actor = django_filters.CharFilter(label=_("who"), method="by", max_length=160)
    happened_from = FromDay(label=_("happened from"), field_name="happened_at")
    happened_to = ToDay(label=_("happened to"), field_name="happened_at")

    class Meta:
        model = Event
        fields: tuple[str, ...] = ()

    def about(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Events of the things that are called so."""
        return rows.filter(subject__in=subjects_called(value.strip()))

    def of_group(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Events of that group."""
        return rows.filter(in_group(value))

    def by(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Events by that address, whole, or by AMP itself. People are few among them and have an index of their own."""
        text = value.strip()
        if "@" in text:
            return rows.filter(actor=text, actor__contains="@")
        return rows.filter(actor__in=actors_called(text))


def fields_of(chosen: AuditFilterSet) -> list[forms.BoundField]:
    """The filter's fields in the order of the page."""
    order = ("q", "group", "actor", "enterprise", "happened_from", "happened_to")
    return [chosen.form[name] for name in order]
