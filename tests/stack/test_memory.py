"""Databases live in memory only where there is much of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack import memory
from tests.stack.memory import ENOUGH, memory_to_spare


@pytest.fixture
def roomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A machine with as much of everything as is needed."""
    monkeypatch.setattr(memory, "_free", lambda directory: ENOUGH if directory.is_dir() else 0)
    told = {"meminfo": f"MemTotal: 9 kB\nMemAvailable: {ENOUGH // 1024} kB\n", "limit": f"{ENOUGH}\n"}
    for name, text in told.items():
        (tmp_path / name).write_text(text)
    return {"shared": tmp_path} | {name: tmp_path / name for name in told}


def test_a_roomy_machine_is_used(roomy: dict[str, Path]) -> None:
    assert memory_to_spare(**roomy) == roomy["shared"]
    roomy["limit"].write_text("max\n")
    assert memory_to_spare(**roomy) == roomy["shared"]
    roomy["limit"].unlink()  # no container
    assert memory_to_spare(**roomy) == roomy["shared"]


@pytest.mark.parametrize(
    ("name", "text"), [("meminfo", f"MemAvailable: {ENOUGH // 1024 - 1} kB\n"), ("limit", f"{ENOUGH - 1}\n")]
)
def test_a_small_one_is_not(roomy: dict[str, Path], name: str, text: str) -> None:
    roomy[name].write_text(text)
    assert memory_to_spare(**roomy) is None


def test_a_system_without_such_a_place_is_not(roomy: dict[str, Path]) -> None:
    assert memory_to_spare(**roomy | {"shared": roomy["shared"] / "missing"}) is None
    roomy["meminfo"].unlink()
    assert memory_to_spare(**roomy) is None


def test_a_full_place_is_not(roomy: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free", lambda _directory: ENOUGH - 1)
    assert memory_to_spare(**roomy) is None
