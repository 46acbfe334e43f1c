"""Late events correct the sessions that they are about; what lies further back isn't read (P1, P6, R5)."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection

from devices.models import PresenceSession
from devices.services.presence_rows import Span, _filtered, stored_sessions
from tests.services.announcing import NOW, make_fleet
from tests.services.fleet import scope
from tests.services.rows_read import rows_read

__all__ = ["scope"]
pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
SIZE = 30
SHORT, LONG = 40, 120


def connected(device_id: int, *hours: int, name: str = "s") -> None:
    """Sessions of half an hour that began so many hours ago, each with a name of its own."""
    PresenceSession.objects.bulk_create(
        PresenceSession(
            device_id=device_id, session=f"{name}{ago}", started_at=NOW - ago * HOUR, ended_at=NOW - (ago - 0.5) * HOUR
        )
        for ago in hours
    )


def test_p1_what_ends_after_a_named_session_began_is_read_too() -> None:
    [first, second] = make_fleet(2).ids
    for device_id in (first, second):
        connected(device_id, 50, 40, 30, 20, 10)
    found = stored_sessions(
        {first: Span(NOW - 15 * HOUR, frozenset({"s40", "s20"})), second: Span(NOW - 25 * HOUR, frozenset({"unknown"}))}
    )
    assert [stored.interval.session for stored in found[first]] == ["s40", "s30", "s20", "s10"]
    assert [stored.interval.session for stored in found[second]] == ["s20", "s10"]
    assert stored_sessions({}) == {}


@pytest.mark.parametrize("seed", range(20))
def test_p6_each_device_is_answered_as_if_it_were_alone_and_as_where_there_are_no_arrays(seed: int) -> None:
    """The statement for PostgreSQL beside the plain one, which also serves SQLite, asked for one device at a time."""
    chance = random.Random(seed)
    spans = {}
    for device_id in make_fleet(3).ids:
        begun = chance.sample(range(1, 60), chance.randint(0, 12))
        connected(device_id, *begun, name=chance.choice(["s", "t"]))
        names = frozenset(f"s{ago}" for ago in chance.sample(range(1, 60), chance.randint(0, 9)))
        spans[device_id] = Span(NOW - chance.randint(0, 60) * HOUR, names)
    found = stored_sessions(spans)
    assert found.keys() == spans.keys()
    for device_id, span in spans.items():
        expected = [row[0] for row in _filtered({device_id: span})]
        assert [stored.row_id for stored in found[device_id]] == expected


def test_r5_a_long_history_is_not_read() -> None:
    """As PostgreSQL counts the rows itself: two of each device, however often it was connected before."""
    assert _rows_read(SHORT) == _rows_read(LONG) <= 3 * SIZE


def _rows_read(length: int) -> int:
    ids = make_fleet(SIZE).ids
    for device_id in ids:
        connected(device_id, *range(10, 10 * (length + 1), 10))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE devices_presencesession")
    before = rows_read("devices_presencesession")
    stored_sessions({device_id: Span(NOW - 12 * HOUR, frozenset({"s20"})) for device_id in ids})
    return rows_read("devices_presencesession") - before
