"""Histories of seeds (R2, R3, R5, R8): see `tests.simulation`."""

from __future__ import annotations

import os

import pytest

from tests.simulation.playing import play
from tests.simulation.profiles import large, small

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3_600)]
SEEDS = int(os.environ.get("AMP_SIM_SEEDS", "50"))
ONE = os.environ.get("AMP_SIM_SEED")


@pytest.mark.parametrize("tenth", range(10))
def test_small_histories_end_as_the_spec_says(tenth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes, delays, repeats, losses, clock steps and several beats."""
    seeds = range(tenth, SEEDS, 10) if ONE is None else [int(ONE)] * (tenth == 0)
    for seed in seeds:
        play(seed, small(seed), monkeypatch)
