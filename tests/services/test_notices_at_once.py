"""Several sweeps at once write each notice once and tell each device once (N4, F12, F65)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction

from alerts.models import Notice, Watch
from alerts.services import looking
from alerts.services.looking import notice_due_ends
from alerts.services.telling import tell_devices
from amp.foundation.lanes import SecondLane
from devices.models import Command
from tests.services.announcing import DAY, Fleet, make_fleet, switch
from tests.services.fleet import scope
from tests.stack import waiting

__all__ = ["scope"]
pytestmark = pytest.mark.django_db(transaction=True)

SWEEPS = 3
SIZE = 60


def at_once(work: Callable[[], object]) -> list[object]:
    """`work` in three threads that start together; what they returned or raised."""
    return waiting.at_once(*[work] * SWEEPS)


def until_done(fleet: Fleet, now: datetime) -> None:
    """What a sweep does, in slices that are too small for all."""
    for _ in range(2 * SIZE):
        looked = notice_due_ends(now=now, limit=7)
        told = tell_devices(now=now, limit=7)
        if not looked and not told:
            return


def test_three_sweeps_at_once_make_no_duplicates() -> None:
    switch()
    fleet = make_fleet(SIZE)
    now = fleet.end() - 7 * DAY
    assert at_once(lambda: until_done(fleet, now)) == [None] * SWEEPS
    until_done(fleet, now)  # whatever a sweep left to another that had stopped
    assert sorted(Notice.objects.values_list("device_id", "days")) == sorted(
        (pk, days) for pk in fleet.ids for days in (7, 30)
    )
    assert sorted(Command.objects.values_list("device_id", flat=True)) == fleet.ids
    assert set(Notice.objects.values_list("status", flat=True)) == {"HANDED_OVER", "SKIPPED"}


def test_even_sweeps_that_all_look_at_the_same_ends_make_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the watch's lock they all look at everything: the unique key stands alone, and it is enough."""
    switch()
    fleet = make_fleet(SIZE)
    look_unlocked(monkeypatch)
    assert at_once(lambda: notice_due_ends(now=fleet.end() - 30 * DAY)) == [SIZE] * SWEEPS
    assert Notice.objects.count() == SIZE


def test_without_the_unique_key_such_sweeps_would_make_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for the two tests above: this race is real."""
    switch()
    fleet = make_fleet(SIZE)
    look_unlocked(monkeypatch)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE alerts_notice DROP CONSTRAINT one_notice_per_end_and_threshold")
    try:
        at_once(lambda: notice_due_ends(now=fleet.end() - 30 * DAY))
        assert Notice.objects.count() > SIZE
    finally:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM alerts_notice")
            cursor.execute(
                "ALTER TABLE alerts_notice ADD CONSTRAINT one_notice_per_end_and_threshold "
                "UNIQUE (device_id, service, ends_at, days, channel)"
            )


def test_long_looks_at_once_that_each_store_in_a_lane_make_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part for part is stored in another thread while the next is judged; nothing is missed between two parts."""
    switch()
    fleet, stored_in = make_fleet(SIZE), in_small_parts(monkeypatch)

    def look() -> None:
        with SecondLane("beside") as lane:
            while notice_due_ends(now=fleet.end() - 7 * DAY, lane=lane) >= looking.CHUNK:
                pass

    assert at_once(look) == [None] * SWEEPS
    look()  # whatever a sweep left to another that had stopped
    assert sorted(Notice.objects.values_list("device_id", "days")) == sorted(
        (pk, days) for pk in fleet.ids for days in (7, 30)
    )
    assert any(name.startswith("beside") for name in stored_in)
    assert set(Watch.objects.values_list("at_end", "goal")) == {(None, None)}


def test_r5_a_look_that_breaks_off_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its lane has stored stays, the watch hasn't moved, and the next look writes the rest once."""
    switch()
    fleet, _stored_in = make_fleet(SIZE), in_small_parts(monkeypatch)
    now = fleet.end() - 30 * DAY
    judge, calls = looking._judged, count(1)

    def broken(*arguments: Any) -> Any:
        if next(calls) == 4:
            raise RuntimeError("killed")
        return judge(*arguments)

    with SecondLane("beside") as lane:
        notice_due_ends(now=now - 10 * DAY)
        before = list(Watch.objects.order_by("pk").values())
        with monkeypatch.context() as patch:
            patch.setattr(looking, "_judged", broken)
            with pytest.raises(RuntimeError, match="killed"):
                notice_due_ends(now=now, lane=lane)
        assert list(Watch.objects.order_by("pk").values()) == before
        assert 0 < Notice.objects.count() < SIZE
        notice_due_ends(now=now, lane=lane)
    assert sorted(Notice.objects.values_list("device_id", flat=True)) == fleet.ids


def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Seven services at a time; the names of the threads that store them."""
    names, store = set(), looking._store

    def noted(notices: Any) -> None:
        if notices:
            names.add(threading.current_thread().name)
        store(notices)

    monkeypatch.setattr(looking, "PART", 7)
    monkeypatch.setattr(looking, "_store", noted)
    return names


def look_unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that doesn't lock its watch, and that writes when the others have looked too."""
    together, write = threading.Barrier(SWEEPS), looking.insert_rows

    def late(*arguments: Any, **options: Any) -> int:
        together.wait(20)
        return write(*arguments, **options)

    monkeypatch.setattr(looking, "_held", lambda pk: Watch.objects.get(pk=pk))
    monkeypatch.setattr(looking, "insert_rows", late)
