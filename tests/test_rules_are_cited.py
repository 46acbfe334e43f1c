"""Every rule of the specification that is built is cited by a test, so that it can be found and is held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BUILT = [
    *[f"A{number}" for number in [1, 2, 3, *range(7, 25)]],
    *[f"E{number}" for number in range(1, 5)],
    *[f"P{number}" for number in range(1, 8)],
    *["Q1", "Q2", "Q3", "Q5"],
    *[f"N{number}" for number in range(1, 10)],
]


@pytest.fixture(scope="module")
def cited() -> set[str]:
    """Rules named in test names and docstrings: `test_a16_…`, "(A16, P7)", "A16–A22"."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        found |= {f"{letter.upper()}{number}" for letter, number in re.findall(r"(?<=_)([aepqn])(\d{1,2})(?=_)", text)}
        found |= set(re.findall(r"\b([AEPQN]\d{1,2})\b", text))
    return found


@pytest.mark.parametrize("rule", BUILT)
def test_the_rule_is_cited_by_a_test(rule: str, cited: set[str]) -> None:
    assert rule in cited, f"No test names {rule}."
