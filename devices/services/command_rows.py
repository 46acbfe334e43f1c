"""Commands as locked rows and plain standings: read in a set, stored in a set, each change on the record (A21)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from amp.foundation.bulk import among, differing, read_rows, update_rows
from amp.foundation.services.events import EventDraft
from devices.delivery import CommandKind, CommandStatus, Standing
from devices.models import Command, CommandSlot, Device

FACTS = (
    *("id", "enterprise_id", "device_id", "slot", "kind", "generation", "ticket", "confirms_by_report", "problem"),
    *("values", "announces_end"),
)
KIND = FACTS.index("kind")
READ = (*FACTS, *Standing._fields)
WRITTEN = (
    "status",
    "attempts",
    "refusals",
    "due_at",
    "sent_at",
    "acked_at",
    "confirmed_at",
    "closed_at",
    "problem",
    "hold",
)
RELEASED = ("hold", "released_at", "stale_at", "due_at")
EVENT_OF = {
    CommandStatus.STALE: "command.stale",
    CommandStatus.CANCELLED: "command.cancelled",
    CommandStatus.SUPERSEDED: "command.superseded",
    CommandStatus.FAILED: "device_service.lock_failed",
}
CONFIRMED_AS = {
    CommandKind.LOCK: "device_service.locked",
    CommandKind.UNLOCK: "device_service.unlocked",
    CommandKind.NOTICE: "command.confirmed",
}


class CommandRow(NamedTuple):
    """One command: what it is, and how it stands."""

    id: int
    enterprise_id: int
    device_id: int
    slot: str
    kind: CommandKind
    generation: int
    ticket: UUID
    confirms_by_report: bool
    problem: str
    values: dict[str, Any]
    announces_end: datetime | None
    standing: Standing


def newest_command() -> QuerySet[Command]:
    """The lock command of the service's own generation, for a subquery of services: one look into one index each.

    A join would leave it to the planner, which takes the table for small until it no longer is.
    """
    newest: QuerySet[Command] = Command.objects.filter(
        device_id=OuterRef("device_id"), slot=CommandSlot.LOCK.value, generation=OuterRef("generation")
    )
    return newest


def last_lock_versions(device_ids: Collection[int]) -> dict[int, int]:
    """By device, the rule version of the LOCK that it was last sent; one query, and not a look at all before that."""
    if not device_ids:
        return {}
    locks = Command.objects.filter(
        device_id=OuterRef("pk"), slot=CommandSlot.LOCK.value, kind=CommandKind.LOCK.value, sent_at__isnull=False
    )
    last = Subquery(locks.order_by("-generation").values("rule_version")[:1])
    devices = Device.objects.filter(among("id", device_ids)).values_list("pk", last)
    return {device_id: version for device_id, version in devices if version is not None}


def locked_rows(commands: QuerySet[Command]) -> list[CommandRow]:
    """Lock and read commands in id order, so that two writers never wait for each other (F23)."""
    return [_row(values) for values in read_rows(commands.order_by("id").select_for_update().values_list(*READ))]


def claimed_rows(commands: QuerySet[Command], limit: int) -> list[CommandRow]:
    """Lock and read the first commands, in the order of the queryset, that nobody else holds (F12)."""
    rows = commands.select_for_update(skip_locked=True).values_list(*READ)[:limit]
    return [_row(values) for values in read_rows(rows)]


def store_rows(rows: Iterable[CommandRow], *, stored: Sequence[CommandRow] = ()) -> int:
    """Write how the commands stand now: one statement; number of rows.

    `stored`: these and maybe more, as they were locked. Only columns that changed are written then.
    """
    fresh = {row.id: _values(row) for row in rows}
    if not stored or not fresh:
        return update_rows(Command, WRITTEN, list(fresh.values()))
    known = [row for row in stored if row.id in fresh]
    changed = differing([_values(row) for row in known], [fresh[row.id] for row in known])
    names = [name for place, name in enumerate(WRITTEN, 1) if place in changed]
    return update_rows(Command, names, [*map(itemgetter(0, *sorted(changed)), fresh.values())]) if names else 0


def store_released(rows: Iterable[CommandRow]) -> int:
    """Write that these are held no more, or by another hold (P8): one statement; number of rows."""
    standings = [(row.id, row.standing) for row in rows]
    return update_rows(
        Command, RELEASED, [(pk, each.hold_id, each.released_at, each.stale_at, each.due_at) for pk, each in standings]
    )


def closing_event(row: CommandRow, *, now: datetime, actor: str = "system", why: str = "") -> EventDraft:
    """The record of a command that is over; a stale one is dated by the end of its cache time.

    Where a report confirms a command, the report is on the record already.
    """
    status = row.standing.status
    kind = CONFIRMED_AS[row.kind] if status is CommandStatus.CONFIRMED else EVENT_OF[status]
    if row.kind is CommandKind.NOTICE and status is CommandStatus.FAILED:
        kind = "command.failed"
    at = row.standing.stale_at if status is CommandStatus.STALE and not row.standing.tries_once else now
    return EventDraft(
        kind=kind,
        subject=f"device:{row.device_id}",
        enterprise_id=row.enterprise_id,
        happened_at=min(at, now),
        actor=actor,
        why=why or row.problem,
        after=told(row.kind, row.generation, row.ticket, attempts=row.standing.attempts),
    )


def told(kind: CommandKind, generation: int, ticket: UUID, **more: Any) -> dict[str, Any]:
    """The part of a command that the record keeps."""
    return {"command": kind.value, "generation": generation, "ticket": str(ticket), **more}


def _row(values: tuple[Any, ...]) -> CommandRow:
    facts, standing = list(values[: len(FACTS)]), values[len(FACTS) :]
    facts[KIND] = CommandKind(facts[KIND])
    return CommandRow._make([*facts, Standing(CommandStatus(standing[0]), *standing[1:])])


def _values(row: CommandRow) -> tuple[Any, ...]:
    known = row.standing
    return (
        row.id,
        known.status.value,
        known.attempts,
        known.refusals,
        known.due_at,
        known.sent_at,
        known.acked_at,
        known.confirmed_at,
        known.closed_at,
        row.problem,
        known.hold_id,
    )
