"""What the rows of an import would do: before a person confirms, and again when a worker does them (F81, F92)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from amp.foundation.bulk import among, chunks
from amp.foundation.models import Enterprise
from catalog.models import Product
from catalog.services.products import lock_product
from devices.models import Device, ImportKind, RowStatus, Validity
from devices.registration_csv import LONGEST, ReadRow
from devices.sheets import Problem

AT_ONCE = 5_000


class Judged(NamedTuple):
    """A row with its status; `place` is the id of the product (devices) or of the device (validities) it is about."""

    row: ReadRow
    status: RowStatus
    place: int | None = None


def judge(kind: ImportKind, enterprise: Enterprise, rows: Sequence[ReadRow], *, lock: bool = False) -> list[Judged]:
    """One verdict a row, in the order given; with `lock`, what it was judged by stays so to the transaction's end.

    Looks past the caller's scope, at what the enterprise may use (products of its line) or owns (devices in its
    subtree). A key that a sibling holds, and nothing else of it, can be told by the answer: keys are unique in a
    product (F81). The words for it are those for any key that can't be had, and name nobody.
    """
    look: Callable[..., dict[int, Judged]] = _devices if kind is ImportKind.DEVICES else _validities
    good = [row for row in rows if not row.problems]
    found = look(enterprise, good, lock)
    return [found.get(row.line) or Judged(row, RowStatus.BAD) for row in rows]


def _devices(enterprise: Enterprise, rows: Sequence[ReadRow], lock: bool) -> dict[int, Judged]:
    line = [*enterprise.ancestor_ids, enterprise.pk]
    products = _product_ids({row.values["product"] for row in rows}, enterprise_id__in=line)
    by_product: dict[int, list[ReadRow]] = defaultdict(list)
    verdicts: dict[int, Judged] = {}
    for row in rows:
        if product_id := products.get(row.values["product"]):
            by_product[product_id].append(row)
        else:
            verdicts[row.line] = _bad(row, "unknown_product", "product")
    for product_id, its_rows in sorted(by_product.items()):
        if lock:
            lock_product(product_id)
        held = _held(product_id, [row.values["key"] for row in its_rows])
        verdicts |= {row.line: _device(row, product_id, held.get(row.values["key"]), enterprise) for row in its_rows}
    return verdicts


def _product_ids(keys: Iterable[str], **where: Any) -> dict[str, int]:
    rows = Product._base_manager.filter(among("key", sorted(keys)), **where)
    return dict(rows.values_list("key", "id"))


def _held(product_id: int, keys: Sequence[str]) -> dict[str, tuple[int, dict[str, str]]]:
    """Keys that live devices of the product have: whose, and with what details."""
    held = {}
    for some in chunks(keys, AT_ONCE):
        rows = Device._base_manager.filter(among("key", some), product_id=product_id, terminated_at=None)
        for key, owner, *details in rows.values_list("key", "enterprise_id", *LONGEST):
            held[key] = (owner, dict(zip(LONGEST, details, strict=True)))
    return held


def _device(row: ReadRow, product_id: int, held: tuple[int, dict[str, str]] | None, enterprise: Enterprise) -> Judged:
    if held is None:
        return Judged(row, RowStatus.NEW, product_id)
    owner, details = held
    if owner != enterprise.pk:
        return _bad(row, "key_unavailable", "key")
    differs = [name for name in LONGEST if row.values.get(name) and row.values[name] != details[name]]
    return _bad(row, "other_details", differs[0]) if differs else Judged(row, RowStatus.SAME, product_id)


def _validities(enterprise: Enterprise, rows: Sequence[ReadRow], lock: bool) -> dict[int, Judged]:
    """A device of another tenant, of another tenant's product or of none at all: one answer."""
    products = _product_ids({row.values["product"] for row in rows})
    devices: dict[tuple[int, str], int] = {}
    for some in chunks(sorted({row.values["key"] for row in rows}), AT_ONCE):
        own = Device._base_manager.filter(among("key", some), enterprise__path__startswith=enterprise.path)
        live = own.filter(terminated_at=None).values_list("product_id", "key", "id")
        devices |= {(product_id, key): pk for product_id, key, pk in live}
    standing = _standing(list(devices.values()))
    return {
        row.line: _validity(row, devices.get((products.get(row.values["product"], 0), row.values["key"])), standing)
        for row in rows
    }


def _standing(device_ids: Sequence[int]) -> dict[tuple[int, str], tuple[datetime | None, datetime]]:
    return {
        (device_id, kind): (starts_at, ends_at)
        for some in chunks(device_ids, AT_ONCE)
        for device_id, kind, starts_at, ends_at in Validity._base_manager.filter(among("device_id", some)).values_list(
            "device_id", "kind", "starts_at", "ends_at"
        )
    }


def _validity(
    row: ReadRow, device_id: int | None, standing: dict[tuple[int, str], tuple[datetime | None, datetime]]
) -> Judged:
    if device_id is None:
        return _bad(row, "unknown_device", "key")
    wanted = moment_of(row.values["from"]), moment_of(row.values["until"])
    same = standing.get((device_id, row.values["service"])) == wanted
    return Judged(row, RowStatus.SAME if same else RowStatus.NEW, device_id)


def moment_of(text: str) -> datetime | None:
    """A moment as a staged row keeps it."""
    return datetime.fromisoformat(text) if text else None


def _bad(row: ReadRow, code: str, column: str) -> Judged:
    told = (row.values.get(column, "")[:70],)
    return Judged(row._replace(problems=[Problem(row.line, code, told, column)]), RowStatus.BAD)
