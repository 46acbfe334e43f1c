"""Virtual time: what happens when is a heap of events, and both of the product's clocks are read off it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Clockwork:
    """`at` is true time, which only goes forward; the product's clocks are `skew` off."""

    at: datetime = START
    skew: timedelta = timedelta()
    _waiting: list[tuple[datetime, int, str, Callable[[], object]]] = field(default_factory=list)
    _turn: count[int] = field(default_factory=count)

    def now(self) -> datetime:
        """What the product's clocks say."""
        return self.at + self.skew

    def plan(self, after: timedelta, name: str, event: Callable[[], object]) -> None:
        """Let `event` happen; events of one moment happen in the order of planning."""
        heapq.heappush(self._waiting, (self.at + max(after, timedelta()), next(self._turn), name, event))

    def next(self) -> tuple[str, Callable[[], object]] | None:
        """Go on to the next event; None where nothing will happen any more."""
        if not self._waiting:
            return None
        at, _turn, name, event = heapq.heappop(self._waiting)
        self.at = max(self.at, at)
        return name, event

    @property
    def next_at(self) -> datetime | None:
        """When the next event is."""
        return self._waiting[0][0] if self._waiting else None
