"""Writing the record: one row per state change, in the transaction of the change (R9)."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Model

from amp.foundation.bulk import insert_rows
from amp.foundation.models import Enterprise, Event

log = logging.getLogger(__name__)

COLUMNS = (
    "public_id",
    "enterprise",
    "kind",
    "subject",
    "actor",
    "before",
    "after",
    "why",
    "happened_at",
    "noticed_at",
)
TOLD = 20
"""So many events of one statement are told in the log, with the id of the request; of more only the record tells."""


class EventDraft(NamedTuple):
    """What happened, before it is written. `actor` is a user's address, or "system", "sweep", "device", "gateway"."""

    kind: str
    subject: str
    enterprise_id: int | None
    happened_at: datetime
    actor: str = "system"
    why: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def record_events(drafts: Sequence[EventDraft], *, now: datetime) -> int:
    """Write all drafts in one statement; `now` is when we noticed. Number of rows."""
    rows = [_row(draft, now) for draft in drafts]
    written = insert_rows(Event, COLUMNS, rows)
    if written <= TOLD:
        transaction.on_commit(partial(_tell, rows), robust=True)  # what is rolled back never happened
    return written


def record_event(draft: EventDraft, *, now: datetime) -> None:
    """Write one event."""
    record_events([draft], now=now)


def record_about(
    row: Model,
    kind: str,
    *,
    actor: str,
    now: datetime,
    at: datetime | None = None,
    why: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one event about a row, for the record of its enterprise; `at` is when it happened, if that isn't `now`."""
    enterprise_id = row.pk if isinstance(row, Enterprise) else row.enterprise_id  # type: ignore[attr-defined]
    record_event(EventDraft(kind, subject_of(row), enterprise_id, at or now, actor, why, before, after), now=now)


def message_id(public_id: uuid.UUID) -> str:
    """The stable id of an event's message: the same for every attempt, every endpoint, for ever."""
    return f"evt_{public_id.hex}"


def subject_of(row: Model) -> str:
    """How the record names a row: "order:4", "api_key:7"."""
    return f"{_WORDS.sub('_', type(row).__name__).lower()}:{row.pk}"


_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _tell(rows: Sequence[tuple[Any, ...]]) -> None:
    for public_id, _enterprise, kind, subject, *_rest in rows:
        log.info("Event written", extra={"message_id": message_id(public_id), "kind": kind, "subject": subject})


def _row(draft: EventDraft, now: datetime) -> tuple[Any, ...]:
    return (
        uuid.uuid4(),
        draft.enterprise_id,
        draft.kind,
        draft.subject,
        draft.actor[:160],
        draft.before,
        draft.after,
        draft.why[:400],
        draft.happened_at,
        now,
    )
