"""Histories of seeds (R2, R3, R5, R8): see `tests.simulation`. `make prove` plays more of them, and longer ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.playing import play
from tests.simulation.profiles import large, small

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


@pytest.mark.skipif(ONE is not None or "AMP_SIM_YEARS" not in os.environ, reason="minutes long: `make prove` plays it")
def test_a_year_of_a_fleet_ends_as_the_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    play(2026, large(DEVICES, YEARS), monkeypatch)


@pytest.mark.skipif(ONE is not None, reason="one small history is asked for")
def test_a_seed_is_one_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in this process, and once in another one with other hashes: step by step the same, rows included."""
    first, second = (play(3, small(3), monkeypatch).trace for _ in range(2))
    assert (first.steps, first.fingerprint) == (second.steps, second.fingerprint)
    assert play(4, small(4), monkeypatch).trace.fingerprint != first.fingerprint
    assert _elsewhere(3) == first.fingerprint


def test_fingerprint_for_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the fingerprint of one seed, for the test above."""
    told = os.environ.get("AMP_SIM_FINGERPRINT")
    if told is None:
        pytest.skip("nobody asked")
    seed, _, path = told.partition(":")
    Path(path).write_text(play(int(seed), small(int(seed)), monkeypatch).trace.fingerprint)


def _elsewhere(seed: int) -> str:
    """The fingerprint of `seed` in a fresh process with servers of its own."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"fingerprint-{os.getpid()}"
    changes = {"AMP_SIM_FINGERPRINT": f"{seed}:{path}", "PYTHONHASHSEED": "4711"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMP_", "PYTEST_", "DJANGO_"))}
    name = "tests/simulation/test_one_seed.py::test_fingerprint_for_another_process"
    command = [sys.executable, "-m", "pytest", "-q", name]
    done = subprocess.run(command, cwd=REPOSITORY, env=kept | changes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        return path.read_text()
    finally:
        path.unlink()
