"""Devices by the names that people and programs have for them: the device's key, with the product's where needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from amp.foundation.bulk import among, chunks
from billing.selection_csv import NamedDevice
from devices.models import Device
from devices.sheets import Problem

AT_ONCE = 5_000


class Found(NamedTuple):
    """What a name leads to: a device of the caller's scope, or what is wrong with the name."""

    named: NamedDevice
    device_id: int | None
    problem: Problem | None = None


class _Holder(NamedTuple):
    """A device that has the key."""

    device_id: int
    product_key: str
    terminated_at: datetime | None


def find_devices(names: Sequence[NamedDevice]) -> list[Found]:
    """One answer a name, in the order given; one query for 5,000 keys.

    Looks within the caller's scope: another tenant's device is answered as one that doesn't exist (R6). A key that was
    freed and given anew means the live device (F70).
    """
    holders: dict[str, list[_Holder]] = defaultdict(list)
    for keys in chunks(sorted({name.key for name in names if name.problem is None}), AT_ONCE):
        rows = Device.objects.filter(among("key", keys)).order_by("pk")
        for key, pk, product, terminated_at in rows.values_list("key", "pk", "product__key", "terminated_at"):
            holders[key].append(_Holder(pk, product, terminated_at))
    return [_found(name, holders.get(name.key, ())) for name in names]


def _found(name: NamedDevice, holders: Iterable[_Holder]) -> Found:
    if name.problem:
        return Found(name, None, name.problem)
    meant = [holder for holder in holders if name.product in {"", holder.product_key}]
    live = [holder for holder in meant if holder.terminated_at is None]
    if len(live) > 1:
        return _problem(name, "several_devices", name.key)
    if not meant:
        told = (name.key, name.product) if name.product else (name.key,)
        return _problem(name, "no_such_device_of_product" if name.product else "no_such_device", *told)
    return Found(name, (live or meant)[-1].device_id)


def _problem(name: NamedDevice, code: str, *told: str) -> Found:
    return Found(name, None, Problem(name.line, code, tuple(part[:70] for part in told), "key"))
