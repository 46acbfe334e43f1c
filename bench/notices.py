"""Row F: expiry notices that fall due in one threshold, found, judged one by one and written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.db import connection

from alerts.services.looking import CHUNK, notice_due_ends
from alerts.services.telling import tell_devices
from amp.foundation import clock
from amp.foundation.lanes import SecondLane
from amp.foundation.scoping import system_scope
from amp.foundation.services.configuration import AlertedService, switch_expiry_alerts
from bench import fleet
from bench.rounds import Figure, Target, in_turn, seconds, typical_seconds
from bench.stage import Stage
from devices.models import Period

DUE = 100_000
IDLE_CALLS = 200
SWEEPS = 3

_MAKE_DUE = """
    UPDATE devices_deviceservice
    SET state = 'ACTIVE', level_id = (SELECT id FROM catalog_servicelevel WHERE standard_of_id = product_id),
        ends_at = %(now)s::timestamptz + interval '30 days' - device_id %% 3000 * interval '1 second'
    WHERE device_id = ANY(%(ids)s)
"""
# The fleet is made without its ledger; the look reads when each end was set.
_PERIODS = """
    INSERT INTO devices_period (enterprise_id, device_id, number, life, kind, level_id, plan_name, months, anchor,
        anchor_months, previous_ends_at, starts_at, ends_at, source, created_at)
    SELECT enterprise_id, device_id, 1, 1, 'PAID',
        (SELECT id FROM catalog_servicelevel WHERE standard_of_id = product_id), 'Plan', 12, began, 12, NULL,
        began, ends_at, 'bench:' || device_id, began
    FROM (SELECT *, least(state_since, ends_at - interval '1 year') AS began FROM devices_deviceservice) AS service
    WHERE device_id = ANY(%s)
"""
_LIMIT = """
    INSERT INTO alerts_notice (enterprise_id, device_id, service, ends_at, days, channel, status, reason, falls_due_at,
        noticed_at, closed_at)
    SELECT enterprise_id, device_id, 'DEVICE', ends_at, 30, 'TSL', 'DUE', '', ends_at - interval '30 days', %s, NULL
    FROM devices_deviceservice WHERE device_id = ANY(%s)
"""
_PROBE = "SELECT device_id FROM devices_deviceservice WHERE ends_at > %s AND ends_at <= %s ORDER BY ends_at LIMIT 1"


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """The look, three at once, handing over to the devices, and the idle look."""
    stage.use(stage.large)
    now = clock.wall().replace(microsecond=0)
    with system_scope():
        for service in AlertedService:
            switch_expiry_alerts(service=service, on=True, actor="bench", now=now - timedelta(days=100))
        due = min(DUE, stage.scale // 8)
        used = set(Period.objects.values_list("device_id", flat=True))  # other rows have renewed these today
        ended = [*fleet.scattered(stage.scale, state="ACTIVE"), *fleet.scattered(stage.scale, state="EXPIRED")]
        ids = [pk for pk in ended if pk not in used][:due]  # of a small fleet, row A has let all expire
        due = len(ids)
        with connection.cursor() as cursor:
            cursor.execute(_PERIODS, [ids])
            cursor.execute(_MAKE_DUE, {"ids": ids, "now": now})
            cursor.execute("VACUUM ANALYZE devices_deviceservice, devices_period")
        product, limit = in_turn(rounds, partial(_product, due, now), partial(_limit, ids, now))
        yield Figure(
            "F",
            f"notices: {due:,} of {stage.scale:,} services due in one threshold",
            "/s",
            "one INSERT … SELECT of the same rows",
            product,
            limit,
            Target(0.4),
        )
        yield Figure(
            "F",
            f"duplicates with {SWEEPS} sweeps at once, {due:,} due",
            "rows",
            "",
            [float(_duplicates(due, now))],
            target=Target(0, at_most=True),
        )
        told = [due / seconds(lambda: _tell(now))]
        yield Figure("F", "the same handed over as commands, each with its event", "/s", "", told)
        idle, probe = in_turn(rounds, partial(_idle, now), partial(_probe, now))
        yield Figure("F", "idle look: three services, three thresholds", "ms", "one index probe", idle, probe)


def _start_anew(now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_notice")
        cursor.execute("DELETE FROM alerts_watch")
        cursor.execute(
            "INSERT INTO alerts_watch (service, days, looked_until, at_device) "
            "SELECT service, days, %s, 0 FROM unnest(%s::text[]) AS service, unnest(%s::int[]) AS days",
            [now - timedelta(hours=1), ["SIM", "RTK", "DEVICE"], [30, 7, 1]],
        )
        cursor.execute("VACUUM ANALYZE alerts_notice")
        cursor.execute("CHECKPOINT")


def _look(now: datetime) -> None:
    with SecondLane("look") as lane:
        while notice_due_ends(now=now, lane=lane) >= CHUNK:
            pass


def _written() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alerts_notice")
        return int(cursor.fetchone()[0])


def _product(due: int, now: datetime, _number: int) -> float:
    _start_anew(now)
    taken = seconds(lambda: _look(now))
    written = _written()
    assert written >= due, f"{written} notices of {due}"
    return written / taken


def _limit(ids: list[int], now: datetime, _number: int) -> float:
    _start_anew(now)
    with connection.cursor() as cursor:
        return len(ids) / seconds(lambda: cursor.execute(_LIMIT, [now, ids]))


def _duplicates(due: int, now: datetime) -> int:
    """Rows beyond one for each service, after three sweeps that ran together."""
    _start_anew(now)
    threads = [threading.Thread(target=_sweep_alone, args=(now,)) for _ in range(SWEEPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _look(now)  # what a sweep left to another one that had stopped
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT (device_id, ends_at, days)) FROM alerts_notice")
        rows, different = cursor.fetchone()
    assert different >= due, f"{different} notices of {due}"
    return int(rows) - int(different)


def _sweep_alone(now: datetime) -> None:
    with system_scope():
        _look(now)
    connection.close()


def _tell(now: datetime) -> None:
    while tell_devices(now=now):
        pass


def _idle(now: datetime, _number: int) -> float:
    return 1000 * typical_seconds(lambda: notice_due_ends(now=now - timedelta(minutes=30)), IDLE_CALLS)


def _probe(now: datetime, _number: int) -> float:
    long_ago = now - timedelta(days=3650)
    with connection.cursor() as cursor:
        return 1000 * typical_seconds(lambda: cursor.execute(_PROBE, [long_ago, long_ago]), IDLE_CALLS)
