"""How notices are found: once, in slices, by the index of ends, and at what cost (N4, F65; house pattern 2)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from alerts.models import Notice, Watch
from alerts.services.looking import OVERLAP, notice_due_ends
from devices.models import ServiceKind
from devices.transports.recorded import RecordedTransport
from tests.services.announcing import DAY, NOW, SECOND, give, hear, make_fleet, notice, sweep, switch
from tests.services.dispatching import transport
from tests.services.fleet import scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


def test_the_database_refuses_a_second_notice_f65() -> None:
    switch()
    fleet = make_fleet()
    sweep(fleet.end() - 30 * DAY)
    row = Notice.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError, match="one_notice_per_end_and_threshold"), transaction.atomic():
        row.save(force_insert=True)


def test_a_lost_cursor_makes_no_second_notice_f65(transport: RecordedTransport) -> None:
    """The watches start anew: the rows themselves are what makes it once."""
    switch()
    fleet = make_fleet(3)
    assert len(hear(fleet.end() - 30 * DAY, transport)) == 3
    Watch.objects.all().delete()
    assert hear(fleet.end() - 29 * DAY, transport) == []
    assert Notice.objects.count() == 3


def test_an_end_that_was_committed_late_is_found_all_the_same(transport: RecordedTransport) -> None:
    """A look covers the last minute of the one before it: the setting was dated earlier than it could be seen."""
    switch()
    fleet = make_fleet(2)
    give(fleet.ids[1], ServiceKind.SIM, NOW + 8 * DAY)
    assert sweep(NOW + DAY, transport) == [notice(1, 2)], "so far the look has come"
    give(fleet.ids[0], ServiceKind.SIM, NOW + 8 * DAY - SECOND, now=NOW + DAY - 2 * SECOND)
    assert sweep(NOW + DAY + SECOND, transport) == [notice(1, 2)]
    assert timedelta(seconds=30) < OVERLAP


def test_a_slice_goes_on_where_the_last_one_stopped(transport: RecordedTransport) -> None:
    """Many services end at the very same moment: the look goes on between them, by device."""
    switch()
    fleet = make_fleet(7)
    now = fleet.end() - 30 * DAY
    looked = [notice_due_ends(now=now, limit=3) for _ in range(3)]
    assert looked == [3, 3, 1]
    assert Notice.objects.values("device_id").distinct().count() == Notice.objects.count() == 7


def test_a_look_whose_rest_was_renewed_comes_to_its_end() -> None:
    """A slice was full and nothing is left of the range: the watch goes on with what falls due from then on (N4)."""
    switch()
    fleet = make_fleet(3)
    now = fleet.end() - 30 * DAY
    assert notice_due_ends(now=now, limit=3) == 3
    assert Watch.objects.exclude(goal=None).count() == 1
    fleet.renew("again", now=now + SECOND)
    assert notice_due_ends(now=now + 20 * SECOND, limit=3) == 0
    assert not Watch.objects.exclude(goal=None).exists()
    assert notice_due_ends(now=fleet.end() - 30 * DAY, limit=4) == 3
    assert Notice.objects.filter(days=30, ends_at=fleet.end()).count() == 3


def test_an_idle_sweep_is_four_statements_and_reads_next_to_nothing(transport: RecordedTransport) -> None:
    switch()
    for number, device_id in enumerate(make_fleet(300).ids):
        give(device_id, ServiceKind.SIM, NOW + (60 + number) * DAY)
    sweep(NOW + DAY)
    with CaptureQueriesContext(connection) as seen:
        assert notice_due_ends(now=NOW + 2 * DAY) == 0
    assert len(seen) == 4
    with connection.cursor() as cursor:
        # With a handful of rows and no statistics every index costs the same.
        cursor.execute("ANALYZE devices_validity, devices_deviceservice")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {seen[-1]['sql']}")
        plan = json.dumps(cursor.fetchone()[0])
    assert "service_ends" in plan
    assert "validity_ends" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("size", [1, 40])
def test_a_slice_costs_the_same_whatever_its_size(size: int) -> None:
    switch()
    fleet = make_fleet(size)
    sweep(NOW + DAY)
    with CaptureQueriesContext(connection) as seen:
        assert notice_due_ends(now=fleet.end() - 30 * DAY) == size
    assert len([each for each in seen if "SAVEPOINT" not in each["sql"]]) == 12
