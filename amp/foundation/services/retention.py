"""Rows that have served their time are deleted: slice by slice along the primary key, each a transaction (X5).

A table is walked by its primary key, which rises with age: the walk stops at the first row that is younger than the
limit and goes on there next time. So an idle look is one probe of the primary key, no index on a date is needed and
nothing is read twice. What is old but has to stay (a command that is a device's last one) is passed by, and looked at
again in the next walk, a week later. One job at a time has a table: it holds the row that says how far the walk is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple

from django.db import models, transaction
from django.utils.translation import gettext as _

from amp.foundation.bulk import among
from amp.foundation.models import Retention
from amp.foundation.services.configuration import SUBJECT
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused

WALK = timedelta(days=7)
"""Rows that had to stay are looked at again after this."""
MOST_DAYS = 36_500
FOR_EVER = 0
REMOVED = "platform.rows_removed"
"""The event that says how many rows went; it stays for ever itself."""


class RetentionRefused(Refused):
    """Rows of that kind can't be kept so short or so long."""


class Moments(NamedTuple):
    """Product time and real time: rows are dated in the one or the other. Older than both is old."""

    now: datetime
    wall: datetime

    def before(self, days: int) -> datetime:
        """The limit: what is older was written more than `days` ago on either clock."""
        return min(self) - timedelta(days=days)


class Kept(NamedTuple):
    """One kind of rows that doesn't stay for ever.

    `born` names the column that rises with the primary key ("" where none does); `over(cutoff)` says which of the rows
    born before `cutoff` may go. `least` is the floor, in days, and `days` holds as installed (0: for ever). `children`
    go with their row: model and the name of its foreign key. `remove(ids, cutoff)` deletes where that isn't enough.
    """

    name: str
    title: Any
    model: type[models.Model]
    born: str
    least: int
    days: int
    over: Callable[[datetime], models.Q]
    children: tuple[tuple[type[models.Model], str], ...] = ()
    remove: Callable[[Kept, Sequence[int], datetime], int] | None = None


def forget_old_rows(kinds: Sequence[Kept], moments: Moments, *, limit: int) -> int:
    """One slice: the first kinds that have old rows, until `limit` rows were looked at; how many were.

    Fewer than `limit` means that nothing is left. Idle it is one statement, and one probe for each kind.
    """
    known = {row.name: row for row in Retention.objects.all()}
    most = 0
    for kept in kinds:
        most = max(most, _forget(kept, known.get(kept.name), moments, limit))
        if most >= limit:
            break
    return most


def days_kept(kinds: Sequence[Kept]) -> dict[str, int]:
    """Days for each kind, as decided or as installed; 0 is for ever."""
    rows = Retention.objects.exclude(days=None).values_list("name", "days")
    decided = {name: days for name, days in rows if days is not None}
    return {kept.name: decided.get(kept.name, kept.days) for kept in kinds}


@transaction.atomic
def set_days_kept(*, kept: Kept, days: int, actor: str, now: datetime) -> None:
    """Keep rows of that kind so long from now on; 0 keeps them for ever. Raises RetentionRefused."""
    if days != FOR_EVER and not kept.least <= days <= MOST_DAYS:
        told = {"least": kept.least, "most": MOST_DAYS}
        raise RetentionRefused.because(_("Choose %(least)d to %(most)d days, or 0 for ever.") % told, kept.name)
    Retention.objects.bulk_create([Retention(name=kept.name)], ignore_conflicts=True)
    row = Retention.objects.select_for_update().get(pk=kept.name)
    before = kept.days if row.days is None else row.days
    if days == before:
        return
    row.days = days
    row.save(update_fields=["days"])
    name = f"days_kept_{kept.name}"
    draft = EventDraft("platform.configured", SUBJECT, None, now, actor, before={name: before}, after={name: days})
    record_event(draft, now=now)


def remove_rows(kept: Kept, ids: Sequence[int], cutoff: datetime) -> int:
    """Delete those of these rows that may go, with what hangs on them; how many rows. Three statements and more.

    Rows that somebody holds are left for the next walk.
    """
    rows = kept.model._base_manager.filter(among("pk", ids)).filter(kept.over(cutoff)).order_by("pk")
    gone = list(rows.select_for_update(skip_locked=True, of=("self",), no_key=False).values_list("pk", flat=True))
    if not gone:
        return 0
    for child, column in kept.children:
        _delete(child, column, gone)
    _delete(kept.model, "pk", gone)
    return len(gone)


def _forget(kept: Kept, known: Retention | None, moments: Moments, limit: int) -> int:
    """Rows of this kind that were looked at; probes before it locks anything."""
    days = kept.days if known is None or known.days is None else known.days
    if days == FOR_EVER:
        return 0
    cutoff = moments.before(max(days, kept.least))
    at = known.at_id if known else 0
    if _old_rows(kept, at, cutoff, 1):
        return _slice(kept, cutoff, moments, limit)
    if known is not None and at and known.began_at and known.began_at <= moments.wall - WALK:
        return _slice(kept, cutoff, moments, limit, anew=True)
    return 0


@transaction.atomic
def _slice(kept: Kept, cutoff: datetime, moments: Moments, limit: int, *, anew: bool = False) -> int:
    mark = _held(kept.name)
    if mark is None:
        return 0
    if anew or mark.began_at is None:
        mark.at_id, mark.began_at = 0, moments.wall
    ids = _old_rows(kept, mark.at_id, cutoff, limit)
    if ids:
        mark.at_id = ids[-1]
        if removed := (kept.remove or remove_rows)(kept, ids, cutoff):
            _record(kept, removed, cutoff, moments.now)
    mark.save(update_fields=["at_id", "began_at"])
    return len(ids)


def _held(name: str) -> Retention | None:
    """The mark, locked until the slice is done; None where another job has it."""
    Retention.objects.bulk_create([Retention(name=name)], ignore_conflicts=True)
    return Retention.objects.filter(pk=name).select_for_update(skip_locked=True).first()


def _old_rows(kept: Kept, at: int, cutoff: datetime, limit: int) -> list[int]:
    """The next rows by primary key, up to the first that is too young."""
    rows = kept.model._base_manager.filter(pk__gt=at).order_by("pk")
    if not kept.born:
        return list(rows.values_list("pk", flat=True)[:limit])
    return [pk for pk, _at in takewhile(lambda row: row[1] < cutoff, rows.values_list("pk", kept.born)[:limit])]


def _delete(model: type[models.Model], column: str, values: Collection[int]) -> None:
    """One statement, without reading what it deletes."""
    rows = model._base_manager.filter(among(column, values))
    rows._raw_delete(rows.db)


def _record(kept: Kept, removed: int, cutoff: datetime, now: datetime) -> None:
    after = {"rows": kept.name, "number": removed, "older_than": cutoff.isoformat()}
    record_event(EventDraft(REMOVED, f"retention:{kept.name}", None, now, "sweep", after=after), now=now)
