"""Expiry notices to devices as commands: a property write in a slot of its own for each kind of service (N6, N7).

Who is told what and when is decided above; here it becomes a message that fits the product's TSL, or a reason why not.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery

from amp.foundation.bulk import among, insert_rows
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_events
from catalog import tsl
from catalog.models import ThingModel
from devices.delivery import CommandKind, CommandStatus, Standing, closed, created, on_its_way_until
from devices.models import Command, Device
from devices.models.commands import NOTICE_SLOTS, OPEN_STATUSES
from devices.services.command_rows import CommandRow, closing_event, locked_rows, store_rows, told
from devices.services.commands import INSERTED, online_devices, wake_if_due

PROPERTY = "q_retain_device_sevice_notice"
"""The wire name of notices: misspelt where it was first defined, and kept byte for byte (N7)."""
A_MICROSECOND = timedelta(microseconds=1)


class NoticeOrder(NamedTuple):
    """Tell one device that a service ends: `service` and `status` as on the wire; it waits while now < `until` (N6)."""

    device_id: int
    enterprise_id: int
    product_id: int
    service: int
    status: int
    ends_at: datetime
    until: datetime

    @property
    def slot(self) -> str:
        """Where its command goes."""
        return NOTICE_SLOTS[self.service].value


class Unsupported(NamedTuple):
    """Why a product can't be told: it has no TSL at all, or what its TSL says about the property."""

    has_tsl: bool
    detail: str


class Wordings:
    """The messages of some products; each is encoded once."""

    def __init__(self, product_ids: Iterable[int]) -> None:
        self._models = _newest_models(set(product_ids))
        self._said: dict[tuple[int, int, int], dict[str, Any] | Unsupported] = {}

    def say(self, order: NoticeOrder) -> dict[str, Any] | Unsupported:
        """The `kv` object, or why there is none."""
        key = (order.product_id, order.service, order.status)
        if key not in self._said:
            self._said[key] = _encoded(self._models.get(order.product_id), order.service, order.status)
        return self._said[key]


@transaction.atomic(savepoint=False)
def order_notices(orders: Sequence[NoticeOrder], *, now: datetime) -> list[UUID | Unsupported]:
    """Write a command for each order that its product's TSL can say; tickets, or why not, in the order given.

    One order a device and service. What is still open in the slot gives way: only the newest notice waits (N6). A fixed
    number of statements, whatever the number of orders.
    """
    wordings = Wordings(order.product_id for order in orders)
    said = [(order, wordings.say(order)) for order in orders]
    going = [(order, words) for order, words in said if not isinstance(words, Unsupported)]
    tickets = iter(_ordered(going, now))
    return [words if isinstance(words, Unsupported) else next(tickets) for _order, words in said]


@transaction.atomic(savepoint=False)
def cancel_notices(tickets: Collection[UUID], *, why: str, now: datetime, actor: str = "system") -> int:
    """Take back notices that still wait for their devices; how many."""
    rows = locked_rows(Command.objects.filter(among("ticket", tickets), status__in=OPEN_STATUSES))
    gone = [
        row._replace(standing=closed(row.standing, CommandStatus.CANCELLED, now), problem=why[:300]) for row in rows
    ]
    store_rows(gone)
    record_events([closing_event(row, now=now, actor=actor, why=why) for row in gone], now=now)
    return len(gone)


def _ordered(going: Sequence[tuple[NoticeOrder, dict[str, Any]]], now: datetime) -> list[UUID]:
    if not going:
        return []
    older = _supersede([order for order, _words in going], now)
    ids = {order.device_id for order, _words in going}
    online, generations = online_devices(ids), _generations(ids)
    tickets, rows, events, standings = [], [], [], []
    for order, words in going:
        standing = created(
            now=now,
            cache=max(order.until - A_MICROSECOND - now, A_MICROSECOND),
            is_online=order.device_id in online,
            not_before=older.get((order.device_id, order.slot)),
        )
        ticket, generation = uuid.uuid4(), generations.get((order.device_id, order.slot), 0) + 1
        rows.append(_values(order, words, ticket, generation, standing))
        events.append(_event(order, ticket, generation, now))
        tickets.append(ticket)
        standings.append(standing)
    insert_rows(Command, (*INSERTED, "announces_end"), rows)
    record_events(events, now=now)
    wake_if_due(standings, now)
    return tickets


def _supersede(orders: Sequence[NoticeOrder], now: datetime) -> dict[tuple[int, str], datetime]:
    """End the open notices of these slots; until when such a one may still arrive (R3)."""
    slots = {(order.device_id, order.slot) for order in orders}
    chosen = Command.objects.filter(
        among("device_id", {device_id for device_id, _slot in slots}),
        kind=CommandKind.NOTICE.value,
        status__in=OPEN_STATUSES,
    )
    older = [row for row in locked_rows(chosen) if (row.device_id, row.slot) in slots]
    over: list[CommandRow] = [
        row._replace(standing=closed(row.standing, CommandStatus.SUPERSEDED, now)) for row in older
    ]
    store_rows(over)
    record_events([closing_event(row, now=now) for row in over], now=now)
    return {(row.device_id, row.slot): at for row in older if (at := on_its_way_until(row.standing, now))}


def _generations(device_ids: Collection[int]) -> dict[tuple[int, str], int]:
    slots = [slot.value for slot in NOTICE_SLOTS.values()]
    told_before = Command.objects.filter(device_id=OuterRef("pk")).order_by("-generation").values("generation")
    newest = [Subquery(told_before.filter(slot=slot)[:1]) for slot in slots]  # not a look at all there were before it
    devices = Device.objects.filter(among("id", device_ids)).values_list("pk", *newest)
    return {
        (device_id, slot): generation
        for device_id, *generations in devices
        for slot, generation in zip(slots, generations, strict=True)
        if generation is not None
    }


def _values(
    order: NoticeOrder, words: dict[str, Any], ticket: UUID, generation: int, standing: Standing
) -> tuple[Any, ...]:
    return (
        *(order.enterprise_id, order.device_id, order.slot, CommandKind.NOTICE.value, generation, ticket, words),
        *(0, False, standing.status.value, standing.attempts, standing.refusals, ""),
        *(standing.created_at, standing.stale_at, standing.due_at, standing.closed_at),
        *(None, order.ends_at),  # no brake holds a notice
    )


def _event(order: NoticeOrder, ticket: UUID, generation: int, now: datetime) -> EventDraft:
    after = told(CommandKind.NOTICE, generation, ticket, service=order.service, ends_at=order.ends_at.isoformat())
    return EventDraft("command.created", f"device:{order.device_id}", order.enterprise_id, now, after=after)


def _newest_models(product_ids: Collection[int]) -> dict[int, tsl.Tsl | Unsupported]:
    """The newest TSL of each product; one query. A stored one that can't be read any more says so."""
    newest = ThingModel.objects.filter(product_id=OuterRef("product_id")).order_by("-version").values("version")[:1]
    models: dict[int, tsl.Tsl | Unsupported] = {}
    with system_scope():  # a child's device follows its ancestor's TSL, wherever the caller looks from
        stored = ThingModel.objects.filter(product_id__in=product_ids, version=Subquery(newest))
        for product_id, document in stored.values_list("product_id", "document"):
            try:
                models[product_id] = tsl.parse(document)
            except ValueError as unreadable:
                models[product_id] = Unsupported(has_tsl=True, detail=str(unreadable)[:300])
    return models


def _encoded(model: tsl.Tsl | Unsupported | None, service: int, status: int) -> dict[str, Any] | Unsupported:
    if model is None:
        return Unsupported(has_tsl=False, detail="")
    if isinstance(model, Unsupported):
        return model
    wanted = {"serviceName": service, "serviceStatus": status}
    try:
        values = tsl.encode_kv(model, [{"code": PROPERTY, "value": wanted}])
    except ValueError as misfit:
        return Unsupported(has_tsl=True, detail=str(misfit)[:300])
    if values != {PROPERTY: wanted}:
        return Unsupported(has_tsl=True, detail=f"{PROPERTY} must be a STRUCT of two numbers.")
    return values
