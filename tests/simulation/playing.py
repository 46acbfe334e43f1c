"""Play one seed, and tell a failure so that it can be read and played again."""

from __future__ import annotations

import pytest

from tests.simulation.profiles import Profile
from tests.simulation.run import Run
from tests.simulation.traces import Found
from tests.simulation.worlds import world


def play(seed: int, profile: Profile, patch: pytest.MonkeyPatch) -> Run:
    """The whole history; raises Found with its last steps and the facts of the devices."""
    with world(seed, profile, patch) as run:
        try:
            run.play()
        except Found as found:
            raise Found(found.check, f"{found}\n{told(run)}") from found
        return run


def told(run: Run) -> str:
    """The last steps, the model's devices, and how to see it again."""
    devices = [
        f"  {gadget.key}: {service.state} until {service.ends_at}, story {[state for state, _at in service.story]}"
        for gadget, service in zip(run.gadgets, run.checks.services.values(), strict=True)
    ]
    again = f"AMP_SIM_SEED={run.seed} .venv/bin/python -m pytest tests/simulation/test_one_seed.py"
    return "\n".join([*run.trace.last, *devices[:20], f"Once more: {again}"])
