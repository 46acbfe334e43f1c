"""One event as people read it: what, about what, by whom, why, when it fell due and was noticed, before → after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from amp.audit.subjects import Subject, name_subjects
from amp.audit.words import field_word, kind_word, value_word, why_word
from amp.foundation.models import Event
from amp.foundation.templatetags.amp_display import actor_name, duration, second

SHOWN = 2
"""Facts that the list shows of an event; its page has them all."""


class Change(NamedTuple):
    """One fact before and after; "" where it wasn't known."""

    name: str
    before: str
    after: str
    differs: bool


class Entry(NamedTuple):
    """One row of the audit. `noticed_at` is None where it is the moment itself."""

    pk: int
    kind: str
    what: str
    subject: Subject
    enterprise: str
    actor: str
    why: str
    happened_at: datetime
    noticed_at: datetime | None
    changes: list[Change]

    @property
    def shown(self) -> list[Change]:
        """The first facts that differ."""
        return [change for change in self.changes if change.differs][:SHOWN]

    @property
    def more(self) -> int:
        """How many facts that differ aren't shown."""
        return max(sum(change.differs for change in self.changes) - SHOWN, 0)


def entries_of(events: Iterable[Event]) -> list[Entry]:
    """Rows for events that were read with their enterprises; one query for the names of all their subjects."""
    rows = list(events)
    subjects = name_subjects({event.subject for event in rows})
    return [_entry(event, subjects[event.subject]) for event in rows]


def changes_of(before: Any, after: Any) -> list[Change]:
    """Every recorded fact, in the order in which it was recorded: what stood before first."""
    old, new = _facts(before), _facts(after)
    names = list(dict.fromkeys([*old, *new]))
    return [
        Change(field_word(name), _text(name, old.get(name)), _text(name, new.get(name)), old.get(name) != new.get(name))
        for name in names
    ]


def _entry(event: Event, subject: Subject) -> Entry:
    late = abs((event.noticed_at - event.happened_at).total_seconds()) >= 1
    command = (_facts(event.after) or _facts(event.before)).get("command", "")
    return Entry(
        pk=event.pk,
        kind=event.kind,
        what=kind_word(event.kind, str(command)),
        subject=subject,
        enterprise=event.enterprise.name if event.enterprise else "",
        actor=actor_name(event.actor),
        why=why_word(event.why),
        happened_at=event.happened_at,
        noticed_at=event.noticed_at if late else None,
        changes=changes_of(event.before, event.after),
    )


def _facts(recorded: Any) -> dict[str, Any]:
    return recorded if isinstance(recorded, dict) else {} if recorded is None else {"": recorded}


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(_("yes") if value else _("no"))
        case int() if name.endswith("_seconds"):
            return duration(value)
        case str():
            return _moment(value) or value_word(name, value)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, indent=1)
    return str(value)


def _moment(text: str) -> str:
    """An ISO moment in the reader's zone and language; "" for any other text."""
    if not (19 <= len(text) <= 35 and text[4:5] == "-" and text[10:11] == "T"):
        return ""
    try:
        found = parse_datetime(text)
    except ValueError:
        return ""
    return second(found) if found and found.tzinfo else ""
