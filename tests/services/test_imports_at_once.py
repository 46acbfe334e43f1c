"""Imports under faults: two workers at one import, and a worker that is killed in the middle (F01, F02, F92)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import connection

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.models import Device, Import, ImportRow
from devices.services import import_work
from devices.services.import_secrets import take_secrets
from devices.services.import_work import LEASE, run_due_imports, work_off
from tests.factories import NOW
from tests.services.importing import WALL, Desk, counts, device_list, make_desk
from tests.stack.waiting import at_once, failures

ROWS = 1_300
KILLED = """
import sys
import django
django.setup()
from datetime import datetime
from amp.foundation.scoping import system_scope
from devices.services import import_work
honest = import_work._mark
def mark_and_wait(*given):
    done = honest(*given)
    print("in the middle", flush=True)
    sys.stdin.read()
    return done
import_work._mark = mark_and_wait
with system_scope():
    import_work.run_due_imports(now=datetime.fromisoformat(sys.argv[1]), wall=datetime.fromisoformat(sys.argv[2]))
"""
"""A worker that has stored a slice, devices and all, and is stopped before it commits."""


def running(desk: Desk) -> Import:
    """An import that waits for workers."""
    return desk.start(desk.stage(device_list(ROWS)))


def is_whole(job: Import) -> bool:
    """Every row is done, once, with its own device, event and secret."""
    job.refresh_from_db()
    devices = set(ImportRow.objects.filter(job=job, status="DONE").values_list("device", flat=True))
    return (
        job.state == "DONE"
        and counts(job) == (0, ROWS, 0, 0)
        and len(devices) == Device.objects.count() == ROWS
        and Event.objects.filter(kind="device.registered").count() == ROWS
        and len({secret.password for secret in take_secrets(job=job, actor="ann", now=NOW)}) == ROWS
    )


@pytest.mark.django_db(transaction=True)
def test_f12_two_workers_at_one_import_give_the_result_of_one() -> None:
    with system_scope():
        job = running(make_desk())
        assert failures(at_once(*[lambda: work_off(job.pk, now=NOW, wall=WALL)] * 2)) == []
        assert is_whole(job)


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_import_two_workers_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: both take the same rows, and what the second finds taken isn't counted as done."""
    both = threading.Barrier(2)
    look = import_work._open_rows

    def look_and_wait(job: Import) -> list[import_work._Row]:
        rows = look(job)
        both.wait(30)
        return rows

    with system_scope():
        job = running(make_desk())
        monkeypatch.setattr(import_work, "_open_rows", look_and_wait)
        monkeypatch.setattr(Import.objects.none().__class__, "select_for_update", lambda rows, **_given: rows)
        at_once(*[lambda: import_work._work(job.pk, NOW, WALL)] * 2)
        monkeypatch.undo()
        job.refresh_from_db()
        assert (job.rows_done, Device.objects.count()) != (1_000, 1_000)


@pytest.mark.django_db(transaction=True)
def test_f01_a_worker_that_is_killed_in_the_middle_loses_nothing_and_doubles_nothing() -> None:
    with system_scope():
        job = running(make_desk())
        assert run_due_imports(now=NOW, wall=WALL) == 1
        dying = started_worker()
        os.kill(dying.pid, signal.SIGKILL)
        dying.wait(30)
        job.refresh_from_db()
        assert counts(job) == (300, 1_000, 0, 0)
        assert Device.objects.count() == 1_000
        assert run_due_imports(now=NOW, wall=WALL + timedelta(seconds=1)) == 0  # the lease of the dead one
        assert run_due_imports(now=NOW, wall=WALL + LEASE) == 1
        assert is_whole(job)


def started_worker() -> subprocess.Popen[str]:
    """A process of its own that has done a slice but not committed it."""
    given = connection.settings_dict
    address = f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, NOW.isoformat(), WALL.isoformat()],
        env={**os.environ, "DATABASE_URL": address},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "in the middle"
    return worker
