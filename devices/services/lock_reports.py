"""What devices report about their lock: read, stored, and matched with commands (A5, A19, A21).

A device is read by the rule version that its newest command speaks, and by the rule in force: after a rule change both
are about, until the device has been told something new.
The reported lock is only what a device said; it is never inferred from an ack or from what the service wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, Subquery

from amp.foundation.bulk import among, update_rows
from amp.foundation.services.events import EventDraft, record_events
from catalog import tsl
from catalog.models import ServiceRule, ThingModel
from devices.lifecycle import Lock
from devices.models import DeviceService
from devices.services.command_rows import newest_command

EVENT_OF = {
    Lock.LOCKED: "device_service.locked",
    Lock.UNLOCKED: "device_service.unlocked",
    Lock.UNKNOWN: "device_service.lock_unclear",
}


class Report(NamedTuple):
    """Property values of one device by TSL code, as they came, stamped `at`."""

    device_id: int
    product_id: int
    values: Mapping[str, Any]
    at: datetime


class Reported(NamedTuple):
    """The lock as a device last reported it in a batch."""

    device_id: int
    lock: Lock
    at: datetime


class _InForce(NamedTuple):
    """The newest thing model of a product, the rule in force, and whether an older rule locked in other words."""

    model: tsl.Tsl
    version: int
    was_reworded: bool
    reader: LockReader


class LockReader:
    """Tells from property values whether a device of one product is locked.

    Only codes that can be read and whose values differ between the two actions tell anything; a report counts when it
    holds all of them. One that fits neither action says UNKNOWN.
    """

    def __init__(self, model: tsl.Tsl, lock_action: Sequence[Mapping[str, Any]], unlock_action: Sequence[Any]) -> None:
        self._model = model
        self._locked = {pair["code"]: pair["value"] for pair in lock_action}
        self._unlocked = {pair["code"]: pair["value"] for pair in unlock_action}
        self.codes = frozenset(
            code
            for code, value in self._locked.items()
            if value != self._unlocked.get(code) and tsl.is_readable(model, code)
        )

    def read(self, values: Mapping[str, Any]) -> Lock | None:
        """The lock that `values` speak of; None where they don't."""
        if not self.codes or not self.codes <= values.keys():
            return None
        if self._matches(values, self._locked):
            return Lock.LOCKED
        return Lock.UNLOCKED if self._matches(values, self._unlocked) else Lock.UNKNOWN

    def _matches(self, values: Mapping[str, Any], action: Mapping[str, Any]) -> bool:
        return all(tsl.reported_equals(self._model, code, action[code], values[code]) for code in self.codes)


_models: dict[int, tuple[int, tsl.Tsl]] = {}
"""Product id → version and parsed thing model. A version never changes, so nothing here gets stale."""


def read_reports(reports: Sequence[Report]) -> list[Reported]:
    """The newest lock that each device reports; one query, one more for a new thing model, two where an older rule
    locked in other words."""
    if not reports:
        return []
    in_force = _in_force({report.product_id for report in reports})
    older = _older_readers(reports, in_force)
    newest: dict[int, Reported] = {}
    for report in reports:
        if report.product_id not in in_force:
            continue
        readers = (older.get(report.device_id), in_force[report.product_id].reader)
        lock = _read(report.values, [reader for reader in readers if reader])
        if lock is not None and (report.device_id not in newest or newest[report.device_id].at <= report.at):
            newest[report.device_id] = Reported(report.device_id, lock, report.at)
    return [newest[device_id] for device_id in sorted(newest)]


def _read(values: Mapping[str, Any], readers: Sequence[LockReader]) -> Lock | None:
    """What the first reader knows for certain; UNKNOWN where they are spoken of and none knows; None where not."""
    read = [lock for reader in readers if (lock := reader.read(values)) is not None]
    return next((lock for lock in read if lock is not Lock.UNKNOWN), read[0] if read else None)


def store_reported(reported: Sequence[Reported], *, now: datetime) -> int:
    """Store what changed, each with its event; number of services changed. An older report never undoes a newer one.

    Call inside a transaction, before commands are confirmed; services are locked by device id (F23).
    """
    if not reported:
        return 0
    rows = DeviceService.objects.filter(among("device_id", [one.device_id for one in reported])).order_by("device_id")
    known = {
        device_id: (enterprise_id, Lock(lock), at)
        for device_id, enterprise_id, lock, at in rows.select_for_update(of=("self",)).values_list(
            "device_id", "enterprise_id", "reported_lock", "reported_lock_at"
        )
    }
    changed = [one for one in reported if one.device_id in known and _is_news(one, *known[one.device_id][1:])]
    columns = ("reported_lock", "reported_lock_at")
    update_rows(DeviceService, columns, [(one.device_id, one.lock.value, one.at) for one in changed])
    record_events(list(_events(changed, known)), now=now)
    return len(changed)


def _is_news(one: Reported, lock: Lock, at: datetime | None) -> bool:
    return one.lock is not lock and (at is None or at <= one.at)


def _events(
    changed: Iterable[Reported], known: Mapping[int, tuple[int, Lock, datetime | None]]
) -> Iterable[EventDraft]:
    for one in changed:
        enterprise_id, before, _at = known[one.device_id]
        yield EventDraft(
            kind=EVENT_OF[one.lock],
            subject=f"device:{one.device_id}",
            enterprise_id=enterprise_id,
            happened_at=one.at,
            actor="device",
            before={"reported_lock": before.value},
            after={"reported_lock": one.lock.value},
        )


def _in_force(product_ids: Iterable[int]) -> dict[int, _InForce]:
    newest = ThingModel.objects.filter(product_id=OuterRef("product_id")).order_by("-version").values("version")[:1]
    older = ServiceRule.objects.filter(product_id=OuterRef("product_id"), is_current=False).exclude(lock_action=[])
    reworded = older.exclude(lock_action=OuterRef("lock_action"), unlock_action=OuterRef("unlock_action"))
    rules = ServiceRule.objects.filter(product_id__in=set(product_ids), is_current=True)
    rules = rules.annotate(tsl_version=Subquery(newest), was_reworded=Exists(reworded))
    columns = ("product_id", "tsl_version", "version", "was_reworded", "lock_action", "unlock_action")
    found = [row for row in rules.values_list(*columns) if row[1] is not None]
    models = _thing_models({product_id: version for product_id, version, *_ in found})
    return {
        product_id: _InForce(models[product_id], version, was_reworded, LockReader(models[product_id], lock, unlock))
        for product_id, _tsl_version, version, was_reworded, lock, unlock in found
    }


def _older_readers(reports: Sequence[Report], in_force: Mapping[int, _InForce]) -> dict[int, LockReader]:
    """Readers of the devices whose newest command speaks an older rule version than the one in force (A5)."""
    reworded = {product_id for product_id, rule in in_force.items() if rule.was_reworded}
    products = {report.device_id: report.product_id for report in reports if report.product_id in reworded}
    if not products:
        return {}
    services = DeviceService.objects.filter(among("device_id", products))
    versions = services.values_list("device_id", Subquery(newest_command().values("rule_version")[:1]))
    spoken = {
        device_id: (products[device_id], version)
        for device_id, version in versions
        if version is not None and version != in_force[products[device_id]].version
    }
    if not spoken:
        return {}
    wanted = Q()
    for product_id, version in set(spoken.values()):
        wanted |= Q(product_id=product_id, version=version)
    rules = ServiceRule.objects.filter(wanted).values_list("product_id", "version", "lock_action", "unlock_action")
    readers = {
        (product_id, version): LockReader(in_force[product_id].model, lock, unlock)
        for product_id, version, lock, unlock in rules
    }
    return {device_id: readers[place] for device_id, place in spoken.items() if place in readers}


def _thing_models(versions: Mapping[int, int]) -> dict[int, tsl.Tsl]:
    kept = {product_id: known for product_id in versions if (known := _models.get(product_id))}
    missing = [product_id for product_id, version in versions.items() if kept.get(product_id, (0,))[0] != version]
    if missing:
        if len(_models) > 10_000:
            _models.clear()  # other lanes look here too, and have what they need by then
        documents = ThingModel.objects.filter(product_id__in=missing).order_by("version")
        for product_id, version, document in documents.values_list("product_id", "version", "document"):
            if version == versions[product_id]:
                kept[product_id] = _models[product_id] = (version, tsl.parse(document))
    return {product_id: model for product_id, (_version, model) in kept.items()}
