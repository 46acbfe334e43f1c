"""The ends of services as the rules see them, read in sets (N3, N5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

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
    found = read_rows(rows.values_list("device_id", "enterprise_id", "product_id", "state", "ends_at", "state_since"))
    found = [row for row in found if row[4] is not None]
    since = _set_at({row[0]: row[4] for row in found})
    paid = _paid_products({row[2] for row in found})
    return [
        Announced(
            device_id,
            owner,
            product,
            Term(STATES[state], ends_at, since.get(device_id, state_since), product not in paid),
        )
        for device_id, owner, product, state, ends_at, state_since in found
    ]


def _set_at(ends: Mapping[int, datetime]) -> dict[int, datetime]:
    """When these ends of services were set: the last period was made, or what cut that one short (A14, A26)."""
    last: dict[int, tuple[int, datetime]] = {}
    periods = Period.objects.filter(among("device_id", [*ends]))
    for device_id, number, created_at in read_rows(periods.values_list("device_id", "number", "created_at")):
        if device_id not in last or last[device_id][0] < number:
            last[device_id] = (number, created_at)
    made = {device_id: created_at for device_id, (_number, created_at) in last.items()}
    cuts = EarlyEnd.objects.filter(among("device_id", [*ends]))
    for device_id, ends_at, created_at in read_rows(cuts.values_list("device_id", "ends_at", "created_at")):
        if ends_at == ends[device_id]:
            made[device_id] = max(created_at, made[device_id])
    return made


def _paid_products(product_ids: Iterable[int]) -> set[int]:
    with system_scope():  # a child's device follows its ancestor's rule
        rules = ServiceRule.objects.filter(product_id__in=[*product_ids], is_current=True, paid_mode=True)
        return set(rules.values_list("product_id", flat=True))
