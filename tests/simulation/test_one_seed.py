"""Histories of seeds (R2, R3, R5, R8): see `tests.simulation`. `make prove` plays more of them, and longer ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from tests.simulation.playing import play
from tests.simulation.profiles import FATES, FAULTS, crowd, large, small, young

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(14_400)]
SEEDS = int(os.environ.get("AMP_SIM_SEEDS", "50"))
DEVICES = int(os.environ.get("AMP_SIM_DEVICES", "200"))
YEARS = float(os.environ.get("AMP_SIM_YEARS", "1"))
ONE = os.environ.get("AMP_SIM_SEED")
"""Play this one alone: what a failure says."""
PARTS = 10
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("part", range(PARTS))
def test_small_histories_end_as_the_spec_says(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes, delays, repeats, losses, clock steps and several beats."""
    seeds = range(part, SEEDS, PARTS) if ONE is None else [int(ONE)] * (part == 0)
    for seed in seeds:
        play(seed, small(seed), monkeypatch)


@pytest.mark.skipif(ONE is not None, reason="one small history is asked for")
def test_long_trials_follow_the_rule_that_the_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds that change while devices are on the way to them (A5)."""
    run = play(0, young(0), monkeypatch)
    assert run.met["change_rule"]


@pytest.mark.skipif(ONE is not None, reason="one small history is asked for")
def test_a_crowd_is_locked_as_the_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brake on many LOCKs within an hour, and the people who decide (P8)."""
    run = play(1, crowd(1), monkeypatch)
    assert run.met["held"]


@pytest.mark.skipif(ONE is not None, reason="one small history is asked for")
def test_a_year_of_a_fleet_ends_as_the_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streets that come, go and are renewed together; and the year held what it is there for."""
    run = play(2026, large(DEVICES, YEARS), monkeypatch)
    states = {state for service in run.checks.services.values() for state, _at in service.story}
    assert states >= {"TRIAL", "ACTIVE", "EXPIRED"}
    troubles = {
        "stop_beats",
        "double_beats",
        "step_clock",
        "lose_memory",
        "change_mood",
        "resend",
        "edit_plan",
        "decide_hold",
    }
    acts = {"refund", "refund_decided", "restart", "transfer", "change_rule", "switch"}
    assert {*FAULTS, *FATES, *troubles, *acts} <= {name for name, times in run.met.items() if times}


@pytest.mark.skipif(ONE is not None, reason="one small history is asked for")
def test_a_seed_is_one_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in this process, and once in another one with other hashes: step by step the same, rows included."""
    first, second = (play(3, small(3), monkeypatch).trace for _ in range(2))
    assert (first.steps, first.fingerprint) == (second.steps, second.fingerprint)
    assert play(4, small(4), monkeypatch).trace.fingerprint != first.fingerprint
    assert _elsewhere(3) == first.fingerprint


def _elsewhere(seed: int) -> str:
    """The fingerprint of `seed` from a fresh process, which plays it on the database of this one."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = os.environ | {"DATABASE_URL": database, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-m", "tests.simulation.fingerprint", str(seed)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]
