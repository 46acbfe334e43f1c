"""Devices that show themselves get what waits for them, and what they have paid for (A21, A23, F53)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.lookups import Exact

from amp.foundation.bulk import among, update_rows
from devices.delivery import CommandKind, CommandStatus, Standing, fresh_unlock_due, woken
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService
from devices.services.command_rows import locked_rows, newest_command
from devices.services.commands import CommandOrder, order_commands, wake_if_due

AT_THEIR_END = (CommandStatus.STALE, CommandStatus.FAILED, CommandStatus.ACKED)
"""Nothing more comes of such a command by itself."""
_PAID = {"state": State.ACTIVE.value, "desired_lock": Lock.UNLOCKED.value}


@transaction.atomic(savepoint=False)
def wake_commands(device_ids: Iterable[int], *, now: datetime) -> None:
    """These devices came online or sent something: what waits for them is due, at most once a minute (A21, F53).

    A paid device that isn't confirmed unlocked, and whose UNLOCK is at its end, gets a fresh one (A23). Call after
    presence and reports of the batch are stored.
    """
    ids = sorted(set(device_ids))
    if not ids:
        return
    waiting = locked_rows(Command.objects.filter(among("device_id", ids), status=CommandStatus.PENDING.value))
    due = [(row, woken(row.standing, now=now)) for row in waiting]
    update_rows(Command, ("due_at",), [(row.id, fresh.due_at) for row, fresh in due if fresh != row.standing])
    wake_if_due((fresh for _row, fresh in due), now)
    _order_fresh_unlocks(ids, now)


def _order_fresh_unlocks(device_ids: Sequence[int], now: datetime) -> None:
    """Whose last UNLOCK is at its end without effect is looked up for those alone that may need it: of a fleet in order
    nobody's commands are read, however many there have been."""
    paid = DeviceService.objects.filter(among("device_id", device_ids), **_PAID)
    unconfirmed = paid.exclude(reported_lock=Lock.UNLOCKED.value).values_list(_last_unlock(), "reported_lock")
    reported = {command_id: lock for command_id, lock in unconfirmed if command_id is not None}
    unlocks = Command.objects.filter(among("id", reported)).values_list(
        "id", "device_id", "generation", *Standing._fields
    )
    last = {
        device_id: generation
        for pk, device_id, generation, *standing in unlocks
        if fresh_unlock_due(_standing(standing), says_locked=reported[pk] == Lock.LOCKED.value, now=now)
    }
    if last:
        _order_again(last, now)


def _last_unlock() -> Subquery:
    """Of a service, the UNLOCK that is its device's newest command, if it is at its end."""
    says_locked = Exact(OuterRef("reported_lock"), Value(Lock.LOCKED.value))
    at_its_end = Q(status__in=[status.value for status in AT_THEIR_END]) | Q(
        says_locked, status=CommandStatus.CONFIRMED.value
    )
    return Subquery(newest_command().filter(at_its_end, kind=CommandKind.UNLOCK.value).values("pk")[:1])


def _standing(values: Sequence[Any]) -> Standing:
    return Standing(CommandStatus(values[0]), *values[1:])


def _order_again(last: dict[int, int], now: datetime) -> None:
    """`last`: generation of each device's last command. Whoever holds a service just now orders what it needs."""
    services = DeviceService.objects.filter(among("device_id", last), **_PAID).order_by("device_id")
    locked = services.select_for_update(skip_locked=True).values_list(
        "device_id", "enterprise_id", "product_id", "generation"
    )
    orders = [
        CommandOrder(device_id, enterprise_id, product_id, CommandKind.UNLOCK, generation + 1)
        for device_id, enterprise_id, product_id, generation in locked
        if generation == last[device_id]
    ]
    update_rows(DeviceService, ("generation",), [(order.device_id, order.generation) for order in orders])
    order_commands(orders, now=now)
