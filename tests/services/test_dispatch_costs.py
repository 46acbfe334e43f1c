"""What dispatch asks of the database, busy and idle."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.models import Command
from devices.services.dispatch import close_stale, close_unanswered
from devices.transports.recorded import RecordedTransport
from tests.services.dispatching import run, transport
from tests.services.fleet import LOCK, NOW, SECOND, make_fleet, scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", [1, 80])
def test_a_slice_costs_three_statements_whatever_its_size(size: int, transport: RecordedTransport) -> None:
    make_fleet(size).tell(LOCK)
    with CaptureQueriesContext(connection) as seen:
        assert run(transport) == size
    assert len(real(seen)) == 3
    with CaptureQueriesContext(connection) as idle:
        assert run(transport) == 0
    assert len(real(idle)) == 1
    with CaptureQueriesContext(connection) as closing:
        close_unanswered(now=NOW + 6 * SECOND)
        close_stale(now=NOW + 6 * SECOND)
    assert len(real(closing)) == 4


def real(seen: CaptureQueriesContext) -> list[str]:
    """Statements but those of the savepoints that a test's transaction makes of transactions."""
    return [query["sql"] for query in seen if "SAVEPOINT" not in query["sql"]]


def test_idle_sweeps_probe_one_partial_index_each(transport: RecordedTransport) -> None:
    """Among 3,200 commands, of which 800 wait for offline devices, nothing is scanned."""
    fleet = make_fleet(800, online=False)
    fleet.tell(LOCK)
    Command.objects.update(due_at=None)
    for generation in (100, 101, 102):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO devices_command (enterprise_id, device_id, slot, kind, generation, ticket, values, "
                "rule_version, confirms_by_report, status, attempts, refusals, created_at, stale_at) "
                "SELECT enterprise_id, device_id, slot, kind, %s, gen_random_uuid(), values, rule_version, true, "
                "'CONFIRMED', 1, 0, created_at, stale_at FROM devices_command WHERE generation = 1",
                [generation],
            )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE devices_command")
    with CaptureQueriesContext(connection) as seen:
        assert run(transport, now=NOW + SECOND) == 0
        assert close_unanswered(now=NOW + SECOND) == 0
        assert close_stale(now=NOW + SECOND) == 0
    probes = real(seen)
    assert len(probes) == 3
    for statement, index in zip(probes, ("command_due", "one_command_in_flight", "command_stale"), strict=True):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS) {statement}")
            [plan] = cursor.fetchone()[0]
        assert index in json.dumps(plan), json.dumps(plan, indent=1)
        assert "Seq Scan" not in json.dumps(plan)
        read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert read <= 40, read
