"""The simulation sees what would go wrong: defects that are planted, each of which some check must find.

Small histories of the same seeds end well without a defect: `test_one_seed` plays them.
"""

from __future__ import annotations

import pytest

from tests.simulation.defects import DEFECTS
from tests.simulation.playing import play
from tests.simulation.profiles import Profile
from tests.simulation.traces import Found

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", list(DEFECTS))
def test_the_simulation_finds_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    defect = DEFECTS[name]
    with monkeypatch.context() as patch:
        defect.plant(patch)
        found = [check for seed in defect.seeds if (check := _found(seed, defect.profile(seed), patch))]
    assert defect.found_by & set(found), f"found by {found}"


def _found(seed: int, profile: Profile, patch: pytest.MonkeyPatch) -> str:
    try:
        play(seed, profile, patch)
    except Found as found:
        return found.check
    return ""
