"""The history of a run: one line a step, and a fingerprint over all of them."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

LAST = 30


class Trace:
    """Lines as they come; the last ones are kept for whoever must read them."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: deque[str] = deque(maxlen=LAST)
        self._hash = hashlib.sha256()

    def add(self, line: str, *details: Any) -> None:
        """One step; `details` count for the fingerprint and aren't shown."""
        self.steps += 1
        self.last.append(f"{self.steps:>6} {line}")
        self._hash.update(repr((line, details)).encode())

    @property
    def fingerprint(self) -> str:
        """Equal for equal histories."""
        return self._hash.hexdigest()[:32]


class Found(AssertionError):
    """A check failed: what was found, by which check, after which history."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
