"""The audit as a table: one event a line, read in chunks, formulas disarmed (F90)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import get_language, override
from django.utils.translation import gettext_lazy as _

from amp.audit.subjects import Subject, name_subjects
from amp.audit.words import kind_word, why_word
from amp.foundation.cells import escaped
from amp.foundation.lists.columns import Value
from amp.foundation.models import Event
from amp.foundation.scoping import captured_scope
from amp.foundation.templatetags.amp_display import actor_name

CHUNK = 1_000
TITLES = (
    _("happened"),
    _("noticed"),
    _("event"),
    _("what"),
    _("subject"),
    _("name"),
    _("enterprise"),
    _("by"),
    _("why"),
    _("before"),
    _("after"),
)


def cells_of(rows: QuerySet[Event]) -> Iterator[list[Value]]:
    """Newest first, by primary key: memory doesn't grow with the rows.

    The reader's scope and language are taken along, for a file leaves when its request has ended.
    """
    below: QuerySet[Event] = rows.select_related("enterprise").order_by("-pk")
    return _pieces(below, captured_scope(), get_language() or "en")


def _pieces(
    below: QuerySet[Event], reopened: Callable[[], AbstractContextManager[None]], language: str
) -> Iterator[list[Value]]:
    chunk = list(below[:CHUNK])
    while chunk:
        with reopened(), override(language):
            subjects = name_subjects({event.subject for event in chunk})
            lines = [_cells(event, subjects[event.subject]) for event in chunk]
        yield from lines
        chunk = list(below.filter(pk__lt=chunk[-1].pk)[:CHUNK])


def _cells(event: Event, subject: Subject) -> list[Value]:
    zone = ZoneInfo(event.enterprise.time_zone if event.enterprise else "UTC")
    command = str((event.after or event.before or {}).get("command", ""))
    return [
        _moment(event.happened_at, zone),
        _moment(event.noticed_at, zone),
        event.kind,
        escaped(kind_word(event.kind, command)),
        escaped(event.subject),
        escaped(subject.name),
        escaped(event.enterprise.name if event.enterprise else ""),
        escaped(actor_name(event.actor)),
        escaped(why_word(event.why)),
        escaped(_json(event.before)),
        escaped(_json(event.after)),
    ]


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds")


def _json(facts: Any) -> str:
    return "" if facts is None else json.dumps(facts, ensure_ascii=False, sort_keys=True)
