"""Row A: services that have fallen due move on, each with its events and its LOCK command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from bench import fleet
from bench.rounds import Figure, Target, halves, in_turn, seconds, typical_seconds
from bench.stage import Stage
from devices import tasks
from devices.services.lifecycle import CHUNK, advance_due_services

DUE = 10_000
PEER_ACCOUNTS = 500
IDLE_CALLS = 200
GROWN = 100_000

_MAKE_DUE = """
    UPDATE devices_deviceservice service
    SET state = 'ACTIVE', state_since = %(now)s::timestamptz - interval '1 year', level_id = level.id,
        ends_at = %(now)s::timestamptz - service.device_id %% 3000 * interval '1 second',
        due_at = %(now)s::timestamptz - service.device_id %% 3000 * interval '1 second',
        desired_lock = 'UNLOCKED', last_event_at = %(now)s::timestamptz - interval '1 year'
    FROM catalog_servicelevel level
    WHERE level.standard_of_id = service.product_id AND service.device_id = ANY(%(ids)s)
"""
_END_COMMANDS = """
    UPDATE devices_command SET status = 'CONFIRMED', due_at = NULL, closed_at = %(now)s
    WHERE device_id = ANY(%(ids)s) AND status IN ('PENDING', 'SENT', 'ACKED')
"""
# What one run of the product wrote, to be copied for other devices by the limit.
_KEEP_EVENTS = """
    CREATE TABLE bench_events AS
    SELECT row_number() OVER (ORDER BY id) AS n, enterprise_id, kind, actor, before, after, why, happened_at, noticed_at
    FROM foundation_event WHERE id > %s
"""
_LAST = """
    SELECT coalesce((SELECT max(id) FROM foundation_event), 0), coalesce((SELECT max(id) FROM devices_command), 0)
"""
_KEEP_COMMANDS = """
    CREATE TABLE bench_commands AS
    SELECT row_number() OVER (ORDER BY id) AS n, enterprise_id, slot, kind, values, rule_version, confirms_by_report,
        status, attempts, refusals, problem, created_at, stale_at, due_at, closed_at
    FROM devices_command WHERE id > %s
"""
_EVENTS = """
    COPY (SELECT gen_random_uuid(), e.enterprise_id, kind, 'device:' || t.id, actor, before, after, why, happened_at,
        noticed_at FROM bench_events e JOIN unnest('{{{ids}}}'::bigint[]) WITH ORDINALITY t(id, n)
        ON (e.n + 1) / 2 = t.n) TO STDOUT
"""
_COMMANDS = """
    COPY (SELECT c.enterprise_id, t.id, slot, kind, s.generation + 1, gen_random_uuid(), values, rule_version,
        confirms_by_report, status, attempts, refusals, problem, created_at, stale_at, c.due_at, closed_at
        FROM bench_commands c JOIN unnest('{{{ids}}}'::bigint[]) WITH ORDINALITY t(id, n) USING (n)
        JOIN devices_deviceservice s ON s.device_id = t.id) TO STDOUT
"""
_UPDATE = """
    UPDATE devices_deviceservice SET state = 'EXPIRED', state_since = due_at, level_id = NULL, due_at = NULL,
        desired_lock = 'LOCKED', generation = generation + 1, last_event_at = due_at
    FROM unnest(%s::bigint[]) AS given(id) WHERE device_id = given.id
"""
_COPY_EVENTS = (
    "COPY foundation_event (public_id, enterprise_id, kind, subject, actor, before, after, why, happened_at, "
    "noticed_at) FROM STDIN"
)
_COPY_COMMANDS = (
    "COPY devices_command (enterprise_id, device_id, slot, kind, generation, ticket, values, rule_version, "
    "confirms_by_report, status, attempts, refusals, problem, created_at, stale_at, due_at, closed_at) FROM STDIN"
)
_PROBE = (
    "SELECT device_id FROM devices_deviceservice WHERE due_at <= %s ORDER BY due_at LIMIT 1000 FOR UPDATE SKIP LOCKED"
)


class Part(NamedTuple):
    """What the limit writes in one transaction, ready made."""

    ids: list[int]
    events: bytes
    commands: bytes


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """The sweep, the idle sweep, its memory, and the peer."""
    stage.use(stage.large)
    now = clock.wall()
    with system_scope():
        due = min(DUE, stage.scale // 8)
        sides = halves(fleet.scattered(2 * due, state="ACTIVE"))
        _rehearse(sides[0], now)
        product, limit = in_turn(rounds, partial(_product, sides, now), partial(_limit, sides, now))
        yield Figure(
            "A",
            f"sweep: {due:,} of {stage.scale:,} expire, with events and LOCK",
            "/s",
            f"UPDATE and COPY of the same rows, ready made, in transactions of {CHUNK:,}",
            product,
            limit,
            Target(0.6),
        )
        peer = [_peer(stage, min(PEER_ACCOUNTS, due)) for _ in range(min(rounds, 3))]
        yield Figure(
            "A",
            "sweep beside django-plans' expire_account",
            "/s",
            "django-plans 2.8 expires accounts, mail into memory",
            product[: len(peer)],
            peer,
        )
        idle, probe = in_turn(rounds, partial(_idle, now), partial(_probe, now))
        yield Figure(
            "A", "idle sweep", "ms", "one index probe with FOR UPDATE SKIP LOCKED", idle, probe, Target(2, at_most=True)
        )
        yield _memory(stage, due, now)


def _make_due(ids: list[int], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_END_COMMANDS, {"ids": ids, "now": now})
        cursor.execute(_MAKE_DUE, {"ids": ids, "now": now})
        cursor.execute("VACUUM ANALYZE devices_deviceservice, devices_command")


def _sweep() -> None:
    """The task, as beat starts it."""
    while tasks.advance_due_services() >= CHUNK:
        pass


def _rehearse(ids: list[int], now: datetime) -> None:
    """Warm up, and keep what the product wrote."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST)
        [(events, commands)] = cursor.fetchall()
        _make_due(ids, now)
        _sweep()
        cursor.execute(_KEEP_EVENTS, [events])
        cursor.execute(_KEEP_COMMANDS, [commands])
        for table, rows in (("bench_events", 2 * len(ids)), ("bench_commands", len(ids))):
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (rows,), f"{table} doesn't hold what a sweep of {len(ids)} writes"
            cursor.execute(f"CREATE INDEX ON {table} (n)")


def _product(sides: tuple[list[int], list[int]], now: datetime, number: int) -> float:
    ids = sides[number % 2]
    _make_due(ids, now)
    return len(ids) / seconds(lambda: _sweep())


def _limit(sides: tuple[list[int], list[int]], now: datetime, number: int) -> float:
    ids = sides[1 - number % 2]
    _make_due(ids, now)
    parts = [_part(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK)]
    return len(ids) / seconds(lambda: [_write(part) for part in parts])


def _part(ids: list[int]) -> Part:
    listed = ",".join(map(str, ids))
    return Part(ids, _copied(_EVENTS.format(ids=listed)), _copied(_COMMANDS.format(ids=listed)))


def _copied(statement: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(block) for block in copy)


@transaction.atomic
def _write(part: Part) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, [part.ids])
        for statement, rows in ((_COPY_EVENTS, part.events), (_COPY_COMMANDS, part.commands)):
            with cursor.copy(statement) as copy:
                copy.write(rows)


def _idle(now: datetime, _number: int) -> float:
    long_ago = now - timedelta(days=3650)
    return 1000 * typical_seconds(lambda: advance_due_services(now=long_ago), IDLE_CALLS)


def _probe(now: datetime, _number: int) -> float:
    long_ago = now - timedelta(days=3650)
    with connection.cursor() as cursor:
        return 1000 * typical_seconds(lambda: cursor.execute(_PROBE, [long_ago]), IDLE_CALLS)


def _memory(stage: Stage, due: int, now: datetime) -> Figure:
    """How much more a sweep of ten times as many due rows needs at its highest: slices are to bound it."""
    many = min(GROWN, stage.scale // 3)
    peaks = []
    for count in (due, many):
        _make_due(fleet.scattered(count, state="ACTIVE"), now)
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest resident size so far
        before = _resident_mb("VmRSS")  # what making them due left behind is not the sweep's
        _sweep()
        peaks.append(_resident_mb("VmHWM") - before)
    return Figure(
        "A",
        f"memory: {due:,} due → {many:,} due",
        "MB",
        "",
        [max(peaks[1] - peaks[0], 0.0)],
        target=Target(16, at_most=True),
    )


def _resident_mb(which: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def _peer(stage: Stage, accounts: int) -> float:
    """In a process of its own, for it needs other settings; in the same PostgreSQL."""
    name = "peer"
    if name not in stage.stack.postgresql.databases():
        stage.stack.postgresql.create_database(name)
    command = [sys.executable, "-m", "bench.plans_peer", stage.database_url(name), str(accounts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"django-plans failed:\n{done.stderr}")
    return accounts / json.loads(done.stdout)["seconds"]
