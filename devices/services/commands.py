"""Commands are ordered, answered and confirmed: sets of devices, a fixed number of statements (A5, A19–A23).

Locks are taken in one order everywhere: services, then commands by id. Callers that change services do that first.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from amp.foundation import wakeups
from amp.foundation.bulk import among, insert_rows
from amp.foundation.services.events import EventDraft, record_events
from devices.brakes import LockCause
from devices.delivery import (
    ACK_WITHIN,
    TAKEN_BACK,
    UNFINISHED,
    CommandKind,
    CommandStatus,
    Standing,
    answered,
    braked,
    closed,
    confirmed,
    created,
    is_confirmable,
    on_its_way_until,
)
from devices.lifecycle import Lock
from devices.models import Command, CommandSlot, Presence
from devices.models.commands import IS_UNFINISHED
from devices.services.command_rows import (
    CommandRow,
    closing_event,
    last_lock_versions,
    locked_rows,
    store_rows,
    told,
)
from devices.services.command_values import Message, wording_of
from devices.services.lock_brakes import Held, Order, brake_locks

DISPATCH = "devices.tasks.dispatch_commands"
LOCK_SLOT = CommandSlot.LOCK.value
KIND_OF = {Lock.LOCKED: CommandKind.LOCK, Lock.UNLOCKED: CommandKind.UNLOCK}
INSERTED = (
    "enterprise",
    "device",
    "slot",
    "kind",
    "generation",
    "ticket",
    "values",
    "rule_version",
    "confirms_by_report",
    "status",
    "attempts",
    "refusals",
    "problem",
    "created_at",
    "stale_at",
    "due_at",
    "closed_at",
    "hold",
)


class CommandOrder(NamedTuple):
    """Tell one device to lock or unlock. `generation` is the service's, raised already (A22).

    `cause` says why the platform locks it by itself; without one no brake looks at it (P8).
    """

    device_id: int
    enterprise_id: int
    product_id: int
    kind: CommandKind
    generation: int
    cause: LockCause | None = None


class _Draft(NamedTuple):
    order: CommandOrder
    ticket: UUID
    message: Message
    standing: Standing
    held: Held | None = None


@transaction.atomic(savepoint=False)
def order_commands(orders: Sequence[CommandOrder], *, now: datetime, actor: str = "system") -> None:
    """Supersede what is unfinished, write one command for each order, and wake dispatch where one is due (A22).

    Call inside the transaction that locked the services and set their wish and generation; one order a device. An
    action that no longer fits the TSL becomes a FAILED row that says why, and the others go on (F64). Seven to eight
    statements, whatever the number; some more where a brake looks at them (P8).
    """
    if not orders:
        return
    older, taken_back = _supersede([order.device_id for order in orders], now=now)
    drafts = _braked(_drafts(orders, _on_their_way([*older, *taken_back], now), now), now)
    insert_rows(Command, INSERTED, [_values(draft) for draft in drafts])
    events = [closing_event(row, now=now, actor=actor) for row in _as_superseded(older, now)]
    record_events(events + [event for draft in drafts for event in _events(draft, now, actor)], now=now)
    wake_if_due((draft.standing for draft in drafts), now)


def _supersede(device_ids: Sequence[int], *, now: datetime) -> tuple[list[CommandRow], list[CommandRow]]:
    """End what is unfinished in the lock slot of these devices (A22): the rows as they were, and beside them those that
    were taken back after they had left and may still arrive (R3)."""
    taken_back = Q(status__in=[status.value for status in TAKEN_BACK], acked_at=None, sent_at__gt=now - ACK_WITHIN)
    chosen = Command.objects.filter(among("device_id", device_ids), IS_UNFINISHED | taken_back, slot=LOCK_SLOT)
    rows = locked_rows(chosen)
    older = [row for row in rows if row.standing.status in UNFINISHED]
    store_rows(_as_superseded(older, now))
    return older, [row for row in rows if row.standing.status in TAKEN_BACK]


@transaction.atomic(savepoint=False)
def apply_acks(acks: Sequence[tuple[int, UUID | str, bool]], *, now: datetime) -> int:
    """Take the acks (device id, ticket, ok) of a batch in their order; how many meant something (A21, F56).

    Tickets that are unknown, of another device, or of a command that is over are ignored: none of it is an error.
    """
    named = [(device_id, ticket, ok) for device_id, given, ok in acks if (ticket := _as_ticket(given))]
    if not named:
        return 0
    tickets = among("ticket", {ticket for _device_id, ticket, _ok in named})
    known = Command.objects.filter(tickets, among("device_id", {pk for pk, *_ in named}))  # nobody else's are locked
    rows = {row.ticket: row for row in locked_rows(known)}
    changed: dict[UUID, CommandRow] = {}
    applied = 0
    for device_id, ticket, ok in named:
        row = rows.get(ticket)
        if row is None or row.device_id != device_id:
            continue
        standing = answered(row.standing, ok=ok, confirms_by_report=row.confirms_by_report, now=now)
        if standing is not None:
            applied += 1
            problem = "" if ok else "The device refused the command."
            rows[ticket] = changed[ticket] = row._replace(standing=standing, problem=problem)
    store_rows(changed.values())
    over = [row for row in changed.values() if row.standing.closed_at is not None]
    record_events([closing_event(row, now=now, actor="device") for row in over], now=now)
    return applied


@transaction.atomic(savepoint=False)
def confirm_by_reports(reports: Sequence[tuple[int, Lock]], *, now: datetime) -> int:
    """Devices reported (device id, lock): their unfinished command of that kind did its work; how many (A21).

    Store the reported lock in the service first. The last report of a device in the batch counts.
    """
    wanted = {device_id: KIND_OF[lock] for device_id, lock in reports if lock in KIND_OF}
    if not wanted:
        return 0
    rows = locked_rows(Command.objects.filter(among("device_id", wanted), IS_UNFINISHED, slot=LOCK_SLOT))
    return store_rows(
        row._replace(standing=confirmed(row.standing, now=now), problem="")
        for row in rows
        if row.kind is wanted[row.device_id] and is_confirmable(row.standing)
    )


@transaction.atomic(savepoint=False)
def cancel_commands(
    device_ids: Sequence[int],
    *,
    actor: str,
    now: datetime,
    kind: CommandKind | None = None,
    only: int | None = None,
    why: str = "",
) -> int:
    """Cancel open commands of these devices: all, of one kind (A25), or the `only` one with this id; how many."""
    chosen = Command.objects.filter(among("device_id", device_ids), status__in=_OPEN)
    if kind is not None:
        chosen = chosen.filter(kind=kind.value)
    if only is not None:
        chosen = chosen.filter(pk=only)
    rows = [row._replace(standing=closed(row.standing, CommandStatus.CANCELLED, now)) for row in locked_rows(chosen)]
    store_rows(rows)
    record_events([closing_event(row, now=now, actor=actor, why=why) for row in rows], now=now)
    return len(rows)


def _drafts(orders: Sequence[CommandOrder], not_before: dict[int, datetime], now: datetime) -> list[_Draft]:
    # A5: an UNLOCK undoes the LOCK that the device was last sent, in the words of that LOCK's rule version.
    versions = last_lock_versions([order.device_id for order in orders if order.kind is CommandKind.UNLOCK])
    products = {order.device_id: order.product_id for order in orders}
    wording = wording_of(products.values(), {(products[device_id], version) for device_id, version in versions.items()})
    online = online_devices(products)
    drafts = []
    for order in orders:
        message = wording.say(order.product_id, order.kind, versions.get(order.device_id))
        standing = created(
            now=now,
            cache=timedelta(seconds=wording.cache_seconds(order.product_id)),
            is_online=order.device_id in online,
            not_before=not_before.get(order.device_id),
        )
        if message.problem:
            standing = closed(standing, CommandStatus.FAILED, now)
        drafts.append(_Draft(order, uuid.uuid4(), message, standing))
    return drafts


def _braked(drafts: list[_Draft], now: datetime) -> list[_Draft]:
    """The LOCKs among them that wait for a brake (P8)."""
    locks = [
        Order(each.order.device_id, each.order.enterprise_id, each.order.cause)
        for each in drafts
        if each.order.cause and each.order.kind is CommandKind.LOCK and not each.message.problem
    ]
    held = brake_locks(locks, now=now) if locks else {}
    return [
        each._replace(standing=braked(each.standing, hold_id=hold.hold_id), held=hold)
        if (hold := held.get(each.order.device_id))
        else each
        for each in drafts
    ]


def _on_their_way(rows: Iterable[CommandRow], now: datetime) -> dict[int, datetime]:
    """Until when an older command of each device may still arrive (R3)."""
    until: dict[int, datetime] = {}
    for row in rows:
        if at := on_its_way_until(row.standing, now):
            until[row.device_id] = max(at, until.get(row.device_id, at))
    return until


def online_devices(device_ids: Collection[int]) -> set[int]:
    """Which of these devices are online."""
    found = Presence.objects.filter(among("device_id", device_ids), is_online=True)
    return set(found.values_list("device_id", flat=True))


def _as_superseded(rows: Iterable[CommandRow], now: datetime) -> list[CommandRow]:
    return [row._replace(standing=closed(row.standing, CommandStatus.SUPERSEDED, now)) for row in rows]


def _events(draft: _Draft, now: datetime, actor: str) -> list[EventDraft]:
    order, problem = draft.order, draft.message.problem
    subject = f"device:{order.device_id}"
    after = told(order.kind, order.generation, draft.ticket)
    kinds = ["command.created", "device_service.lock_failed"] if problem else ["command.created"]
    why = f"held_{draft.held.reason.value.lower()}" if draft.held else problem
    return [EventDraft(kind, subject, order.enterprise_id, now, actor, why=why, after=after) for kind in kinds]


def _values(draft: _Draft) -> tuple[object, ...]:
    order, standing = draft.order, draft.standing
    return (
        order.enterprise_id,
        order.device_id,
        LOCK_SLOT,
        order.kind.value,
        order.generation,
        draft.ticket,
        draft.message.values,
        draft.message.rule_version,
        draft.message.confirms_by_report,
        standing.status.value,
        standing.attempts,
        standing.refusals,
        draft.message.problem,
        standing.created_at,
        standing.stale_at,
        standing.due_at,
        standing.closed_at,
        standing.hold_id,
    )


def wake_if_due(standings: Iterable[Standing], now: datetime) -> None:
    """Call dispatch, after the commit, where one of these commands is due."""
    if any(standing.due_at is not None and standing.due_at <= now for standing in standings):
        wakeups.wake(DISPATCH)


def _as_ticket(given: UUID | str) -> UUID | None:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except ValueError:
        return None


_OPEN = [CommandStatus.PENDING.value, CommandStatus.SENT.value]
