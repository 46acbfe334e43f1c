"""Notices among the commands that are due: one command in flight per device, and none about an end that has moved.

A device has several slots but one link (A21): its lock goes first, then notices in the order in which they were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from amp.foundation.bulk import among
from amp.foundation.models import PlatformConfiguration
from amp.foundation.services.configuration import AlertedService, configuration
from amp.foundation.services.events import record_events
from devices.delivery import ACK_WITHIN, CommandKind, CommandStatus, closed, gives_way
from devices.lifecycle import State
from devices.models import Command, CommandSlot, DeviceService, Validity
from devices.models.commands import OPEN_STATUSES
from devices.services.command_rows import CommandRow, closing_event, locked_rows

LOCK_SLOT = CommandSlot.LOCK.value
VALIDITIES = {CommandSlot.SIM_NOTICE.value: "SIM", CommandSlot.RTK_NOTICE.value: "RTK"}
ALERTED = {
    CommandSlot.SIM_NOTICE.value: AlertedService.SIM,
    CommandSlot.RTK_NOTICE.value: AlertedService.RTK,
    CommandSlot.DEVICE_NOTICE.value: AlertedService.DEVICE,
}
MOVED = "No longer true: the end was moved, the service stopped, or alerts were switched off."


class _Other(NamedTuple):
    """Another open command of a device whose command is claimed."""

    id: int
    slot: str
    status: str
    due_at: datetime | None

    @property
    def rank(self) -> tuple[bool, int]:
        """The lock first, then the oldest."""
        return self.slot != LOCK_SLOT, self.id


def one_per_device(rows: Sequence[CommandRow], now: datetime) -> tuple[list[CommandRow], list[CommandRow]]:
    """Of locked, due commands: those that may go now, and those that give way to another one of their device.

    One query where no device has a second open command; a lock that finds a notice waits until whoever claims that one
    has stored what it did, so that two workers never send to one device at once.
    """
    others = _others(rows)
    if not others:
        return list(rows), []
    others = _settled(rows, others)
    going, later = [], []
    for row in rows:
        until = _gives_way_until(row, others.get(row.device_id, ()), now)
        if until is None:
            going.append(row)
        else:
            later.append(row._replace(standing=gives_way(row.standing, until)))
    return going, later


def without_outdated(rows: Sequence[CommandRow], now: datetime) -> list[CommandRow]:
    """The same rows; notices about an end that no longer stands are closed: a renewal came first (N4)."""
    notices = [row for row in rows if row.kind is CommandKind.NOTICE]
    if not notices:
        return list(rows)
    ends, decided = _ends(notices), configuration()
    outdated = {row.id for row in notices if not _is_true(row, ends, decided)}
    fresh = [_cancelled(row, now) if row.id in outdated else row for row in rows]
    record_events([closing_event(row, now=now, why=MOVED) for row in fresh if row.id in outdated], now=now)
    return fresh


def _cancelled(row: CommandRow, now: datetime) -> CommandRow:
    return row._replace(standing=closed(row.standing, CommandStatus.CANCELLED, now), problem=MOVED)


def _others(rows: Sequence[CommandRow]) -> dict[int, list[_Other]]:
    """Open commands of these devices, where a device has more than the one that is claimed."""
    is_open = Command.objects.filter(among("device_id", {row.device_id for row in rows}), status__in=OPEN_STATUSES)
    found: dict[int, list[_Other]] = defaultdict(list)
    for device_id, *values in is_open.values_list("device_id", *_Other._fields):
        found[device_id].append(_Other(*values))
    return {device_id: several for device_id, several in found.items() if len(several) > 1}


def _settled(rows: Sequence[CommandRow], others: dict[int, list[_Other]]) -> dict[int, list[_Other]]:
    """The same, after waiting for whoever holds the notices beside a claimed lock."""
    locks = {row.device_id for row in rows if row.slot == LOCK_SLOT and row.device_id in others}
    if not locks:
        return others
    ours = {row.id for row in rows}
    beside = [each.id for device_id in locks for each in others[device_id] if each.id not in ours]
    if beside:
        locked_rows(Command.objects.filter(among("id", beside)))
        return _others(rows)
    return others


def _gives_way_until(row: CommandRow, others: Iterable[_Other], now: datetime) -> datetime | None:
    """Until when this command waits for another one of its device; None where it may go.

    A notice that waits for its device to come back holds nobody up.
    """
    rank = row.slot != LOCK_SLOT, row.id
    before = [
        each
        for each in others
        if each.id != row.id and (each.status == CommandStatus.SENT.value or (each.rank < rank and each.due_at))
    ]
    if not before:
        return None
    return max(max(each.due_at or now for each in before), now + ACK_WITHIN)


def _ends(notices: Sequence[CommandRow]) -> dict[tuple[int, str], datetime]:
    """The end of each announced service as it stands now, of those that are still announced: three queries at most."""
    slots = {row.slot for row in notices}
    ends: dict[tuple[int, str], datetime] = {}
    devices = {row.device_id for row in notices}
    if CommandSlot.DEVICE_NOTICE.value in slots:
        running = DeviceService.objects.paid().filter(among("device_id", devices), state=State.ACTIVE.value)
        for device_id, ends_at in running.values_list("device_id", "ends_at"):
            ends[device_id, CommandSlot.DEVICE_NOTICE.value] = ends_at
    if slots & VALIDITIES.keys():
        by_kind = {kind: slot for slot, kind in VALIDITIES.items()}
        valid = Validity.objects.filter(among("device_id", devices)).values_list("device_id", "kind", "ends_at")
        ends.update({(device_id, by_kind[kind]): ends_at for device_id, kind, ends_at in valid})
    return ends


def _is_true(row: CommandRow, ends: dict[tuple[int, str], datetime], decided: PlatformConfiguration) -> bool:
    since: datetime | None = getattr(decided, f"{ALERTED[row.slot].value}_alerts_since")
    is_on = since is not None and since <= row.standing.created_at
    return is_on and ends.get((row.device_id, row.slot)) == row.announces_end
