"""Counting ahead: overviews read figures, nobody counts a million rows while somebody waits for a page.

Each group of figures ("devices", "sales") belongs to the app that owns the rows, which hands in its counter. The pace
is set by the cost: counting takes at most 1/`SHARE` of the time, and never comes sooner than asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q

from amp.foundation.bulk import among, insert_rows
from amp.foundation.models import Enterprise, Figure, Tally

CHUNK = 500
"""Enterprises counted in one transaction, by one grouped query for each figure."""
SHARE = 50
LONGEST = timedelta(minutes=15)
WHOLE_EVERY = timedelta(hours=24)
"""Figures of the past are counted anew once a day, in case something corrected them."""
COLUMNS = ("enterprise", "name", "bucket", "number")


class Place(NamedTuple):
    """An enterprise to be counted: its buckets are days and months of its own time zone."""

    id: int
    time_zone: str


class Count(NamedTuple):
    """One figure. Columns as in `Figure`."""

    enterprise_id: int
    name: str
    bucket: str
    number: int


class Counted(NamedTuple):
    """New figures, and the condition on the old ones that they replace."""

    figures: list[Count]
    replaces: Q


Counter = Callable[[Sequence[Place], datetime, bool], Counted]
"""Counts the given enterprises at a moment; the flag asks for everything, not only for what may still change."""


def recount(group: str, count: Counter, *, now: datetime, every: timedelta) -> int:
    """Count the enterprises of a chunk whose figures are due; how many these were.

    Several workers may call it: each takes enterprises that no other has. Needs the system's scope.
    """
    _meet_newcomers(group, now)
    with transaction.atomic():
        tallies = _due(group, now)
        if tallies:
            whole = any(_wants_whole(tally, now) for tally in tallies)
            started = time.monotonic()
            _store([tally.enterprise_id for tally in tallies], count(_places(tallies), now, whole))
            pace = _pace(timedelta(seconds=time.monotonic() - started), every)
            _put_off([tally.pk for tally in tallies], now=now, due_at=now + pace, whole=whole)
    return len(tallies)


def _pace(took: timedelta, every: timedelta) -> timedelta:
    return max(every, min(took * SHARE, LONGEST))


def _meet_newcomers(group: str, now: datetime) -> None:
    known = Tally.objects.filter(group=group).values("enterprise_id")
    ids = list(Enterprise.objects.exclude(pk__in=known).values_list("pk", flat=True)[:CHUNK])
    rows = [Tally(enterprise_id=pk, group=group, due_at=now) for pk in ids]
    Tally.objects.bulk_create(rows, ignore_conflicts=True)


def _due(group: str, now: datetime) -> list[Tally]:
    """Those whose moment has come; all of them where the test clock went back behind the last count."""
    rows = Tally.objects.filter(Q(due_at__lte=now) | Q(counted_at__gt=now), group=group)
    locked = rows.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    return list(locked.order_by("due_at", "id")[:CHUNK])


def _wants_whole(tally: Tally, now: datetime) -> bool:
    return tally.whole_at is None or not tally.whole_at <= now < tally.whole_at + WHOLE_EVERY


def _places(tallies: Collection[Tally]) -> list[Place]:
    rows = Enterprise.objects.filter(among("id", [tally.enterprise_id for tally in tallies]))
    return [Place(*row) for row in rows.order_by("id").values_list("id", "time_zone")]


def _store(enterprise_ids: Collection[int], counted: Counted) -> None:
    Figure.objects.filter(among("enterprise_id", enterprise_ids), counted.replaces).delete()
    insert_rows(Figure, COLUMNS, [figure for figure in counted.figures if figure.number])


def _put_off(ids: Collection[int], *, now: datetime, due_at: datetime, whole: bool) -> None:
    moments = {"counted_at": now, "due_at": due_at, "whole_at": now if whole else F("whole_at")}
    Tally.objects.filter(pk__in=ids).update(**moments)
