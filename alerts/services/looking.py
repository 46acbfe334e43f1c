"""The sweep that finds notices whose moments have come (N1–N5, N9, house pattern 2).

The moment of a notice is its service's end less the threshold, and ends are indexed. So each pair of service and
threshold has a `Watch` that knows how far it has looked; what fell due since is one range of that index, and an idle
sweep asks the index whether the ranges hold anything. No column is kept beside services, so a renewal costs nothing
here, and after any outage the range is just longer (F13, F66).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from alerts.models import Channel, Notice, NoticeStatus, Watch
from alerts.services.settings import Announcing, announcing, channels_of
from alerts.services.terms import Announced, read_terms, services
from alerts.thresholds import WIRE_DAYS, Due, Service, due_notices
from amp.foundation.bulk import Row, insert_rows
from amp.foundation.lanes import SecondLane, in_turn
from devices.models import DeviceService, Validity

CHUNK = 20_000
PART = 2_000
"""Services read and judged at a time, while the notices of those before them are stored: so many are in memory."""
OVERLAP = timedelta(seconds=60)
"""A new look begins so much before the end of the last: an end that was set then may have been committed after it.
Longer than any of our transactions (F04); what was noticed before is refused by its unique key."""
COLUMNS = (
    *("enterprise", "device", "service", "ends_at", "days", "channel"),
    *("status", "reason", "falls_due_at", "noticed_at", "closed_at"),
)

_DUE, _SKIPPED = NoticeStatus.DUE.value, NoticeStatus.SKIPPED.value  # looked up once, for notices are many


def notice_due_ends(*, now: datetime, limit: int = CHUNK, lane: SecondLane | None = None) -> int:
    """Look at one slice of ends and write the notices that fell due; how many services were looked at.

    Fewer than `limit` means that nothing is left for this caller. Several sweeps share the watches: one that another
    holds is skipped (F12). Idle it is four statements, none of which reads more than a row of any large table.

    With a `lane`, which must see what the caller sees, a long slice is judged here while its notices are stored there.
    """
    plan = announcing()
    if not plan.since:
        return 0
    watches = _watches(plan)
    found = 0
    for watch_id in _with_something(watches, plan, now):
        found = max(found, _look(watch_id, plan, now, limit, lane))
        if found >= limit:
            return found
    return found


def _watches(plan: Announcing) -> list[Watch]:
    """One for each service that is announced and each threshold; those that are missing are made."""
    wanted = {(service.value, days) for service in plan.since for days in (*WIRE_DAYS, *plan.extras)}
    known = [watch for watch in Watch.objects.all() if (watch.service, watch.days) in wanted]
    missing = wanted - {(watch.service, watch.days) for watch in known}
    if not missing:
        return known
    fresh = [
        Watch(service=service, days=days, looked_until=plan.began(Service(service), days))
        for service, days in sorted(missing)
    ]
    Watch.objects.bulk_create(fresh, ignore_conflicts=True)
    return [watch for watch in Watch.objects.all() if (watch.service, watch.days) in wanted]


def _with_something(watches: Sequence[Watch], plan: Announcing, now: datetime) -> list[int]:
    """Ids of the watches whose ranges hold ends, the most urgent threshold first; one statement.

    A look that is under way is one of them until it says that it is over: what was left of it may have been renewed.
    """
    if not watches:
        return []
    ordered = sorted(watches, key=lambda each: (each.days, each.service))
    probes = [_probe(watch, plan, now) for watch in ordered]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(sql for sql, _bounds in probes)}",
            [bound for _sql, bounds in probes for bound in bounds],
        )
        answers = cursor.fetchone()
    return [watch.pk for watch, holds in zip(ordered, answers, strict=True) if holds or watch.goal]


def _probe(watch: Watch, plan: Announcing, now: datetime) -> tuple[str, list[Any]]:
    """Whether the watch's range holds an end: written out, for nine of them are asked at every beat."""
    ahead = timedelta(days=watch.days)
    since = watch.at_end if watch.goal and watch.at_end else _start(watch, plan) + ahead
    bounds = [connection.ops.adapt_datetimefield_value(at) for at in (since, (watch.goal or now) + ahead)]
    if watch.service == Service.DEVICE.value:
        table, more = DeviceService._meta.db_table, ""
    else:
        table, more = Validity._meta.db_table, " AND kind = %s"
        bounds.append(watch.service)
    return f"EXISTS (SELECT 1 FROM {table} WHERE ends_at >= %s AND ends_at <= %s{more})", bounds  # noqa: S608


def _range(watch: Watch, plan: Announcing, now: datetime) -> QuerySet[Any]:
    """Services whose notice fell due since this watch last looked."""
    ahead, service = timedelta(days=watch.days), Service(watch.service)
    until = (watch.goal or now) + ahead
    if watch.goal and watch.at_end:
        return services(service).filter(ends_at__gte=watch.at_end, ends_at__lte=until)
    return services(service).filter(ends_at__gt=_start(watch, plan) + ahead, ends_at__lte=until)


def _start(watch: Watch, plan: Announcing) -> datetime:
    return max(watch.looked_until - OVERLAP, plan.began(Service(watch.service), watch.days))


@transaction.atomic
def _look(watch_id: int, plan: Announcing, now: datetime, limit: int, lane: SecondLane | None) -> int:
    """What the lane stores is committed before the watch says so: after a crash in between it is looked at again.

    Only the last part is stored here. Held by this transaction while it waits for the lane, a notice could be what the
    lane waits for in turn, behind another sweep: a deadlock that the database can't see.
    """
    watch = _held(watch_id)
    if watch is None:
        return 0
    if watch.goal is None or watch.goal <= _start(watch, plan):
        watch.goal, watch.at_end, watch.at_device = now, None, 0
    # Where a writer holds the whole database (SQLite), a lane would wait for us.
    has_lanes = connection.features.has_select_for_update
    looked, is_over, notices = 0, False, list[Row]()
    while looked < limit and not is_over:
        size = min(PART, limit - looked)
        both = lane.beside if lane and notices and has_lanes else in_turn
        (found, judged), _stored = both(partial(_judged, watch, plan, now, size), partial(_store, notices))
        looked, is_over, notices = looked + found, found < size, judged
    _store(notices)
    if is_over:
        watch.looked_until, watch.goal, watch.at_end, watch.at_device = watch.goal, None, None, 0
    watch.save()
    return looked


def _judged(watch: Watch, plan: Announcing, now: datetime, size: int) -> tuple[int, list[Row]]:
    """How many services were left, up to `size`, and their notices; the watch stands behind them then."""
    rows = _slice(watch, plan, now, size)
    if rows:
        watch.at_end, watch.at_device = rows[-1].term.ends_at, rows[-1].device_id
    return len(rows), _notices(Service(watch.service), rows, plan, now)


def _held(watch_id: int) -> Watch | None:
    """The watch, locked; None where another sweep has it."""
    return Watch.objects.filter(pk=watch_id).select_for_update(skip_locked=True).first()


def _slice(watch: Watch, plan: Announcing, now: datetime, limit: int) -> list[Announced]:
    """The next ends of a look, in the order of the index: first those at the very end where it stopped."""
    service = Service(watch.service)
    ordered = _range(watch, plan, now).order_by("ends_at", "device_id")
    if watch.at_end is None:
        return read_terms(service, ordered[:limit])
    same = services(service).filter(ends_at=watch.at_end, device_id__gt=watch.at_device).order_by("device_id")
    rows = read_terms(service, same[:limit])
    if len(rows) < limit:
        rows += read_terms(service, ordered.filter(ends_at__gt=watch.at_end)[: limit - len(rows)])
    return rows


def _notices(service: Service, rows: Sequence[Announced], plan: Announcing, now: datetime) -> list[Row]:
    """What the rule says of each service and channel."""
    if not rows:
        return []
    asked = channels_of({row.enterprise_id for row in rows})
    thresholds = {
        owner: [
            (Channel.TSL.value, plan.thresholds(service, Channel.TSL)),
            *((channel.value, plan.thresholds(service, channel, at)) for channel, at in asked.get(owner, {}).items()),
        ]
        for owner in {row.enterprise_id for row in rows}
    }
    kind = service.value
    return [
        _values(kind, row, channel, due, now)
        for row in rows
        for channel, given in thresholds[row.enterprise_id]
        for due in due_notices(row.term, given, now)
    ]


def _store(notices: Sequence[Row]) -> None:
    """A notice that exists stays as it is (N4)."""
    insert_rows(Notice, COLUMNS, notices, ignore_conflicts=True)


def _values(service: str, row: Announced, channel: str, due: Due, now: datetime) -> Row:
    told = row.enterprise_id, row.device_id, service, row.term.ends_at, due.days, channel
    if due.skipped:
        return (*told, _SKIPPED, due.skipped.value, due.at, now, now)
    return (*told, _DUE, "", due.at, now, None)
