"""The benchmark on a tiny fleet: every row yields ratios, and the file holds them. Nothing is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rounds import Figure, Target, in_turn

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.bench
@pytest.mark.timeout(240)
def test_every_row_yields_ratios_and_the_file_holds_them(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    out = tmp_path / "results.json"
    assert pytestconfig.cache is not None
    migrated = pytestconfig.cache.mkdir("migrated")  # the dump that other tests restore too
    command = [sys.executable, "-m", "bench", "--scale", "200", "--rounds", "1", "--out", str(out)]
    command += ["--migrated", str(migrated)]
    # A run of its own, with servers of its own: the settings of this one must not reach it.
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(out.read_text())
    assert (results["scale"], results["rounds"]) == (200, 1)
    assert results["machine"]["cores"] == os.cpu_count()
    assert {figure["row"] for figure in results["figures"]} == {"A", "B", "C", "D", "E", "F", "G"}
    for figure in results["figures"]:
        assert len(figure["ratios"]) == 1
        assert figure["spread"][0] <= figure["median"] <= figure["spread"][1]
        assert figure["median"] > 0 or figure["unit"] == "MB" or figure["target"] == "≤ 0"
        assert figure["what"] in done.stdout


def test_sides_take_turns_and_change_their_order_every_round() -> None:
    heard: list[str] = []

    def side(name: str, value: float):
        def measure(number: int) -> float:
            heard.append(f"{name}{number}")
            return value + number

        return measure

    product, limit = in_turn(3, side("product", 1.0), side("limit", 10.0))
    assert heard == ["product0", "limit0", "limit1", "product1", "product2", "limit2"]
    assert (product, limit) == ([1.0, 2.0, 3.0], [10.0, 11.0, 12.0])


@pytest.mark.parametrize(
    ("target", "met"), [(Target(0.5), True), (Target(0.6), False), (Target(0.5, at_most=True), True)]
)
def test_a_target_is_kept_by_the_median_of_the_ratios(target: Target, met: bool) -> None:
    figure = Figure("A", "sweep", "/s", "limit", [1.0, 9.0, 5.0], [10.0, 10.0, 10.0], target)
    assert figure.ratios == [0.1, 0.9, 0.5]
    assert (figure.median, figure.spread) == (0.5, (0.1, 0.9))
    assert figure.is_met is met
