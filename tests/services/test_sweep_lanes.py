"""A sweep with a backlog works on two slices at a time (F12); and how the processes that do it are set up."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import count

import pytest
from celery.signals import worker_init, worker_process_init

from amp import celery, tuning
from amp.foundation.models import SweepRun
from amp.foundation.scoping import system_scope
from amp.foundation.sweeping import sweep

FULL = 10
TOGETHER_WITHIN = 20
"""Seconds after which two lanes that never meet have not run at once."""

pytestmark = pytest.mark.django_db(transaction=True)


def test_f12_a_backlog_is_worked_off_by_lanes_that_run_at_once() -> None:
    """Each of the two waits in its first slice until the other is in one, too."""
    meeting, calls, names = threading.Barrier(2, timeout=TOGETHER_WITHIN), count(1), set()

    def one_slice(_now: datetime) -> int:
        call = next(calls)
        if call in {2, 3}:
            meeting.wait()
        names.add(threading.current_thread().name)
        return FULL if call < 6 else FULL - 1

    found = sweep("lanes", one_slice, full=FULL, two_lanes=True)
    assert len(names) == 2  # the task's own thread, which found the backlog, is one of the lanes
    assert found >= 5 * FULL + FULL - 1
    with system_scope():
        assert SweepRun.objects.get(name="lanes").found == found


def test_f12_what_fits_into_one_slice_needs_no_lanes() -> None:
    names = set()

    def one_slice(_now: datetime) -> int:
        names.add(threading.current_thread())
        return FULL - 1

    assert sweep("lanes", one_slice, full=FULL, two_lanes=True) == FULL - 1
    assert names == {threading.current_thread()}


def test_f15_a_lane_that_fails_ends_the_others_and_is_on_record() -> None:
    calls = count(1)

    def one_slice(_now: datetime) -> int:
        if next(calls) == 3:
            raise RuntimeError("This slice is broken")
        return FULL

    with pytest.raises(RuntimeError, match="This slice is broken"):
        sweep("lanes", one_slice, full=FULL, two_lanes=True)
    assert next(calls) < 100  # slices that are always full would go on for 25 s
    with system_scope():
        assert "This slice is broken" in SweepRun.objects.get(name="lanes").failed_because


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_a_process_loaded_is_never_collected_again(collector: None) -> None:
    tuning.settle()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == tuning.YOUNG


@pytest.mark.parametrize("signal", [worker_init, worker_process_init], ids=["before the fork", "after it"])
def test_workers_settle_their_collector(signal: object) -> None:
    assert any(receiver() is celery.settle_collector for _key, receiver in signal.receivers)  # type: ignore[attr-defined]
