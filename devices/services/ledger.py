"""Changes of services on their way into the database: collected row by row, stored set by set (house pattern 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from amp.foundation.bulk import differing, insert_rows, update_rows
from amp.foundation.services.events import EventDraft, record_events
from devices.brakes import LockCause
from devices.lifecycle import Facts, Lock, State
from devices.models import CommandKind, DeviceService, Period
from devices.services.commands import CommandOrder, order_commands


class ServiceRow(NamedTuple):
    """One locked row of `DeviceService`, as values; field names are the model's."""

    device_id: int
    enterprise_id: int
    product_id: int
    state: str
    state_since: datetime
    level_id: int | None
    life: int
    counts_from: int | None
    trial_started_at: datetime | None
    trial_ended_at: datetime | None
    trial_end_seconds: int | None
    auto_spent: bool
    auto_failed_at: datetime | None
    anchor: datetime | None
    anchor_months: int
    periods_made: int
    ends_at: datetime | None
    due_at: datetime | None
    desired_lock: str
    generation: int
    last_event_at: datetime

    @property
    def place(self) -> tuple[int, int]:
        """Key of its terms."""
        return self.product_id, self.enterprise_id


READ = ServiceRow._fields
WRITTEN = (
    "state",
    "state_since",
    "level",
    "trial_started_at",
    "trial_ended_at",
    "trial_end_seconds",
    "auto_spent",
    "auto_failed_at",
    "anchor",
    "anchor_months",
    "periods_made",
    "ends_at",
    "due_at",
    "desired_lock",
    "generation",
    "last_event_at",
)
PERIOD_COLUMNS = (
    "enterprise",
    "device",
    "number",
    "life",
    "kind",
    "level",
    "plan_name",
    "months",
    "anchor",
    "anchor_months",
    "previous_ends_at",
    "starts_at",
    "ends_at",
    "source",
    "created_at",
)
_PLACES = {name: READ.index(name if name != "level" else "level_id") for name in WRITTEN}


class PeriodDraft(NamedTuple):
    """A period before it is written."""

    kind: str
    level_id: int
    plan_name: str
    months: int
    anchor: datetime
    anchor_months: int
    starts_at: datetime
    ends_at: datetime
    source: str


@dataclass(slots=True)
class Changes:
    """What one transaction will write. `moved` holds the newest form of each changed row.

    `stored`: the rows as they were locked; of a set that is known, only columns that changed are written.
    """

    stored: dict[int, ServiceRow] = field(default_factory=dict)
    moved: dict[int, ServiceRow] = field(default_factory=dict)
    events: list[EventDraft] = field(default_factory=list)
    periods: list[tuple[Any, ...]] = field(default_factory=list)
    commands: dict[int, CommandOrder] = field(default_factory=dict)

    def move(self, row: ServiceRow) -> ServiceRow:
        """Note the new form of a row."""
        self.moved[row.device_id] = row
        return row

    def tell(self, row: ServiceRow, lock: Lock, cause: LockCause | None = None) -> ServiceRow:
        """Want `lock` of the device and order the command; a later wish in the same transaction replaces it (A22).

        `cause`: why the platform locks by itself, for the brakes (P8).
        """
        row = row._replace(desired_lock=lock.value, generation=row.generation + 1)
        kind = CommandKind.LOCK if lock is Lock.LOCKED else CommandKind.UNLOCK
        self.commands[row.device_id] = CommandOrder(
            device_id=row.device_id,
            enterprise_id=row.enterprise_id,
            product_id=row.product_id,
            kind=kind,
            generation=row.generation,
            cause=cause,
        )
        return row

    def add_period(self, row: ServiceRow, draft: PeriodDraft, *, now: datetime, **more: Any) -> ServiceRow:
        """Write a period, and carry its end into the row, with what `more` of it changes."""
        number = row.periods_made + 1
        self.periods.append(
            (
                row.enterprise_id,
                row.device_id,
                number,
                row.life,
                draft.kind,
                draft.level_id,
                draft.plan_name,
                draft.months,
                draft.anchor,
                draft.anchor_months,
                row.ends_at,
                draft.starts_at,
                draft.ends_at,
                draft.source,
                now,
            )
        )
        return row._replace(
            state=State.ACTIVE.value,
            level_id=draft.level_id,
            anchor=draft.anchor,
            anchor_months=draft.anchor_months,
            periods_made=number,
            ends_at=draft.ends_at,
            **more,
        )

    def note(self, before: ServiceRow, after: ServiceRow, kind: str, *, at: datetime, why: str, actor: str) -> None:
        """Record what happened to one device."""
        self.events.append(
            EventDraft(
                kind=kind,
                subject=f"device:{after.device_id}",
                enterprise_id=after.enterprise_id,
                happened_at=at,
                actor=actor,
                why=why,
                before=_told(before),
                after=_told(after),
            )
        )


def store(changes: Changes, *, now: datetime) -> None:
    """Write everything in five statements at most; call inside the transaction that locked the rows."""
    _write_services(changes)
    insert_rows(Period, PERIOD_COLUMNS, changes.periods)
    record_events(changes.events, now=now)
    if changes.commands:
        order_commands(list(changes.commands.values()), now=now)


def facts_of(row: ServiceRow, counted: int, open_since: datetime | None, closed: Sequence[Any] = ()) -> Facts:
    """One device as the rules see it."""
    return Facts(
        state=State(row.state),
        life=row.life,
        counts_from=row.counts_from,
        counted=counted,
        open_since=open_since,
        closed=closed,
        trial_end=row.trial_end_seconds,
        auto_spent=row.auto_spent,
        auto_failed_at=row.auto_failed_at,
        anchor=row.anchor,
        anchor_months=row.anchor_months,
        ends_at=row.ends_at,
        last_event_at=row.last_event_at,
    )


def _write_services(changes: Changes) -> None:
    """Most changes touch half of the columns, and writing moments costs more than comparing them."""
    rows, names = list(changes.moved.values()), list(WRITTEN)
    if changes.stored.keys() >= changes.moved.keys():
        changed = differing([changes.stored[row.device_id] for row in rows], rows)
        names = [name for name in WRITTEN if _PLACES[name] in changed]
    if names:
        values = itemgetter(READ.index("device_id"), *(_PLACES[name] for name in names))
        update_rows(DeviceService, names, [*map(values, rows)])


def _told(row: ServiceRow) -> dict[str, Any]:
    """The part of a row that the record keeps."""
    return {
        "state": row.state,
        "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        "desired_lock": row.desired_lock,
        "generation": row.generation,
    }
