"""A page of lines that are in memory: begins where another one ended, named by a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from billing.services.quoting import QuoteLine

SIZE = 50


class Window(NamedTuple):
    """Up to 50 lines, their places, and after which device the pages around begin; 0 is the first page, None is none.

    `first` and `last` count from 1.
    """

    lines: Sequence[QuoteLine]
    first: int
    total: int
    previous: int | None = None
    following: int | None = None
    end: int | None = None

    @property
    def last(self) -> int:
        """Place of the last line."""
        return self.first + len(self.lines) - 1


def window(lines: Sequence[QuoteLine], after: str, size: int = SIZE) -> Window:
    """The page that follows the device with id `after`; the first one where there is no such device."""
    start = next((place for place, line in enumerate(lines, 1) if str(line.device_id) == after), 0)
    if start >= len(lines):
        start = 0
    shown = lines[start : start + size]
    last = max(0, (len(lines) - 1) // size * size)
    return Window(
        shown,
        start + 1,
        len(lines),
        previous=_before(lines, max(0, start - size)) if start else None,
        following=_before(lines, start + size) if start + size < len(lines) else None,
        end=_before(lines, last) if start + size < len(lines) else None,
    )


def _before(lines: Sequence[QuoteLine], start: int) -> int:
    return lines[start - 1].device_id if start else 0
