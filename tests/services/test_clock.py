"""The test clock and the record of sweeps (R8, F07, F13)."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection

from amp.foundation import clock
from amp.foundation.models import SweepRun
from amp.foundation.models import TestClock as Clock  # by another name: pytest takes Test… for tests
from amp.foundation.services import testclock
from amp.foundation.services.sweeps import sweep_run
from amp.foundation.services.testclock import TestClockRefused
from amp.foundation.sweeping import RETRIES, sweep

WALL = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=366)


@pytest.fixture(autouse=True)
def fresh_clock() -> Any:
    clock.forget()
    yield
    clock.forget()


def _run(*arguments: str) -> str:
    output = StringIO()
    call_command("clock", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.django_db
def test_the_clock_adds_up_sets_and_goes_back() -> None:
    testclock.advance(timedelta(days=30), wall=WALL)
    assert testclock.advance(timedelta(hours=12), wall=WALL) == timedelta(days=30, hours=12)
    assert testclock.set_to(WALL + YEAR, wall=WALL) == YEAR
    assert testclock.reset(wall=WALL) == timedelta()
    assert Clock.objects.get().moved_at == WALL


@pytest.mark.django_db
def test_production_refuses_to_move_its_clock_and_ignores_a_shift(settings: Any) -> None:
    testclock.advance(YEAR, wall=WALL)
    settings.IS_PRODUCTION = True
    for move in (lambda: testclock.advance(YEAR, wall=WALL), lambda: testclock.reset(wall=WALL)):
        with pytest.raises(TestClockRefused, match="Production"):
            move()
    with pytest.raises(CommandError, match="Production"):
        _run("advance", "1d")
    assert clock.shift() == timedelta()
    settings.IS_PRODUCTION = False
    assert clock.shift() == YEAR


@pytest.mark.django_db
@pytest.mark.parametrize("by", [51 * YEAR, -51 * YEAR, timedelta.max])
def test_a_move_out_of_the_calendar_is_refused(by: timedelta) -> None:
    testclock.advance(timedelta(days=1), wall=WALL)
    with pytest.raises(TestClockRefused, match="50 years"):
        testclock.advance(by, wall=WALL)
    assert testclock.current_shift() == timedelta(days=1)


@pytest.mark.django_db
def test_the_command_sets_advances_shows_and_resets() -> None:
    assert _run("set", "2027-01-31T09:00Z").startswith("2027-01-31T09:00")
    assert _run("advance", "1d12h").startswith("2027-02-01T21:00")
    assert "ahead of real time" in _run("show")
    assert "(real time)" in _run("reset")
    assert _run("set", "2020-01-01").startswith("2020-01-01T00:00")
    assert "behind real time" in _run("show")


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [("set", "tomorrow"), ("advance", "3x"), ("advance", ""), ("advance", "1d 2h")])
def test_the_command_says_how_to_write_a_moment_and_a_length(arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="Write it like"):
        _run(*arguments)
    assert not Clock.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_another_process_follows() -> None:
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    command = [sys.executable, "manage.py", "clock", "set", "2031-05-06T07:08Z"]
    assert clock.now().year < 2031, "and so our own shift is cached"
    subprocess.run(
        command, env={**os.environ, "DATABASE_URL": url}, cwd=Path(__file__).parents[2], check=True, capture_output=True
    )
    assert clock.now().date().isoformat() == "2031-05-06"


@pytest.mark.django_db
def test_a_sweep_leaves_when_it_ran_and_what_it_found() -> None:
    moments = iter([WALL, WALL + timedelta(seconds=3)])
    with sweep_run("expiry", wall=lambda: next(moments)) as run:
        assert SweepRun.objects.get().finished_at is None
        run.found, run.oldest_due_at = 7, WALL - YEAR
    stored = SweepRun.objects.get(name="expiry")
    assert (stored.started_at, stored.finished_at) == (WALL, WALL + timedelta(seconds=3))
    assert (stored.found, stored.oldest_due_at, stored.failed_because) == (7, WALL - YEAR, "")


@pytest.mark.django_db
def test_a_failed_sweep_says_why_until_a_run_succeeds() -> None:
    with pytest.raises(ZeroDivisionError), sweep_run("expiry", wall=lambda: WALL):
        raise ZeroDivisionError("x" * 1_000)
    assert SweepRun.objects.get().failed_because.startswith("ZeroDivisionError: xxx")
    with sweep_run("expiry", wall=lambda: WALL):
        pass
    assert SweepRun.objects.get().failed_because == ""


def _gives_way(times: int, sqlstate: str) -> Any:
    """A slice that the database ends so often with this code, as psycopg tells it."""
    left = iter(range(times))

    class Ended(Exception):
        pass

    Ended.sqlstate = sqlstate  # type: ignore[attr-defined]

    def one_slice(_now: datetime) -> int:
        if next(left, None) is not None:
            raise OperationalError("given up") from Ended()
        return 2

    return one_slice


@pytest.mark.django_db
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_f23_a_slice_that_gave_way_to_another_is_tried_three_times_more(sqlstate: str) -> None:
    assert sweep("expiry", _gives_way(RETRIES, sqlstate), full=9) == 2
    assert SweepRun.objects.get().failed_because == ""
    with pytest.raises(OperationalError):
        sweep("expiry", _gives_way(RETRIES + 1, sqlstate), full=9)


@pytest.mark.django_db
def test_f18_a_database_that_is_away_ends_the_sweep_at_once() -> None:
    with pytest.raises(OperationalError):
        sweep("expiry", _gives_way(1, "08006"), full=9)
