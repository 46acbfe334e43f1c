"""Measuring in turn, and what comes of it: ratios with their median and spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio is to be at least (rates) or at most (durations, bytes) `bound`."""

    bound: float
    at_most: bool = False

    def is_met(self, value: float) -> bool:
        """Whether `value` lies on the right side."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


@dataclass(slots=True)
class Figure:
    """One line of the table. `product` and `limit` hold one value a round, both in `unit`.

    Without a `target` the figure only explains another one; a growth in MB has no limit to divide by.
    """

    row: str
    what: str
    unit: str
    limit_is: str
    product: list[float]
    limit: list[float] = field(default_factory=list)
    target: Target | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Product ÷ limit of each round; the product's own values where there is no limit."""
        if not self.limit:
            return self.product
        return [product / limit for product, limit in zip(self.product, self.limit, strict=True)]

    @property
    def median(self) -> float:
        """The ratio that counts."""
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest ratio."""
        return min(self.ratios), max(self.ratios)

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps to the target; None where there is none."""
        return self.target.is_met(self.median) if self.target else None

    def as_dict(self) -> dict[str, Any]:
        """As results.json has it."""
        return {
            "row": self.row,
            "what": self.what,
            "unit": self.unit,
            "limit_is": self.limit_is,
            "product": [round(value, 6) for value in self.product],
            "limit": [round(value, 6) for value in self.limit],
            "ratios": [round(value, 4) for value in self.ratios],
            "median": round(self.median, 4),
            "spread": [round(value, 4) for value in self.spread],
            "target": str(self.target) if self.target else None,
            "met": self.is_met,
            "note": self.note,
        }


Side = Callable[[int], float]
"""Prepares and measures one side in the round of this number; returns its value."""


def in_turn(rounds: int, *sides: Side) -> list[list[float]]:
    """Values of each side, one a round. They take turns, and change order every round."""
    values: list[list[float]] = [[] for _side in sides]
    for number in range(rounds):
        order = list(enumerate(sides))
        for index, side in order if number % 2 == 0 else reversed(order):
            values[index].append(side(number))
    return values


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def typical_seconds(work: Callable[[], object], times: int) -> float:
    """Median duration of many calls."""
    return median(seconds(work) for _ in range(times))


def halves(rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Two sets of equal size that lie scattered in the same way."""
    even = len(rows) - len(rows) % 2
    return list(rows[0:even:2]), list(rows[1:even:2])
