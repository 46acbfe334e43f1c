"""Who took rows out of the product, filtered how, and how many: data that left is part of the audit (R9)."""

from __future__ import annotations

from datetime import datetime

from amp.foundation.services.events import EventDraft, record_event


def record_export_start(
    *, table: str, file_format: str, query: str, enterprise_id: int | None, actor: str, now: datetime
) -> None:
    """Written before the first row leaves. `query` is the filter as the address spells it."""
    record_event(_draft("list.export_started", table, file_format, query, enterprise_id, actor, now), now=now)


def record_export_end(
    *, table: str, file_format: str, query: str, enterprise_id: int | None, actor: str, rows: int, now: datetime
) -> None:
    """Written when the last row has left or the reader went away; `rows` is how many left by then."""
    draft = _draft("list.exported", table, file_format, query, enterprise_id, actor, now, rows)
    record_event(draft, now=now)


def _draft(
    kind: str,
    table: str,
    file_format: str,
    query: str,
    enterprise_id: int | None,
    actor: str,
    now: datetime,
    rows: int | None = None,
) -> EventDraft:
    after = {"format": file_format, "filter": query[:2_000], **({} if rows is None else {"rows": rows})}
    return EventDraft(kind, f"list:{table}"[:60], enterprise_id, now, actor, after=after)
