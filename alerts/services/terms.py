"""The ends of services as the rules see them, read in sets (N3, N5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery

from alerts.thresholds import Service, Term
from amp.foundation.bulk import among, read_rows
from amp.foundation.scoping import system_scope
from catalog.models import ServiceRule
from devices.lifecycle import State
from devices.models import DeviceService, EarlyEnd, Period, Validity

STATES = {state.value: state for state in State}


class Announced(NamedTuple):
    """One service of one device, and its term."""

    device_id: int
    enterprise_id: int
    product_id: int
    term: Term


def services(service: Service) -> QuerySet[Any]:
    """The table in which the ends of this kind of service stand."""
    if service is Service.DEVICE:
        return DeviceService.objects.all()
    return Validity.objects.filter(kind=service.value, device__terminated_at=None)


def read_terms(service: Service, rows: QuerySet[Any]) -> list[Announced]:
    """The terms of `rows` of `services(service)`; up to four queries, whatever their number."""
    if service is Service.DEVICE:
        return _device_terms(rows)
    found = read_rows(rows.values_list("device_id", "enterprise_id", "product_id", "ends_at", "set_at"))
    return [
        Announced(device_id, owner, product, Term(None, ends_at, set_at))
        for device_id, owner, product, ends_at, set_at in found
    ]


def terms_of(service: Service, device_ids: Iterable[int]) -> dict[int, Announced]:
    """By device, the terms that these devices have now."""
    return {
        each.device_id: each
        for each in read_terms(service, services(service).filter(among("device_id", [*device_ids])))
    }


def _device_terms(rows: QuerySet[Any]) -> list[Announced]:
    """An end was set when the last period was made, or by what cut that one short (A14, A26)."""
    periods = Period.objects.filter(device_id=OuterRef("device_id")).order_by("-number")
    made_at = Subquery(periods.values("created_at")[:1])  # not a look at all there were before it
    columns = ("device_id", "enterprise_id", "product_id", "state", "ends_at", "state_since")
    found = [row for row in read_rows(rows.values_list(*columns, made_at)) if row[4] is not None]
    cuts = _cuts({row[0]: row[4] for row in found})
    paid = _paid_products({row[2] for row in found})
    return [
        Announced(
            device_id,
            owner,
            product,
            Term(STATES[state], ends_at, _later(made_at, cuts.get(device_id)) or state_since, product not in paid),
        )
        for device_id, owner, product, state, ends_at, state_since, made_at in found
    ]


def _cuts(ends: Mapping[int, datetime]) -> dict[int, datetime]:
    """When these ends of services were set by cutting a period short."""
    cuts: dict[int, datetime] = {}
    rows = EarlyEnd.objects.filter(among("device_id", [*ends])).values_list("device_id", "ends_at", "created_at")
    for device_id, ends_at, created_at in read_rows(rows):
        if ends_at == ends[device_id]:
            cuts[device_id] = max(created_at, cuts.get(device_id, created_at))
    return cuts


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other


def _paid_products(product_ids: Iterable[int]) -> set[int]:
    with system_scope():  # a child's device follows its ancestor's rule
        rules = ServiceRule.objects.filter(product_id__in=[*product_ids], is_current=True, paid_mode=True)
        return set(rules.values_list("product_id", flat=True))
