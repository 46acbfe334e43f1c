"""A device that is none of the product's code: it knows the wire contract, and forgets what it likes.

It obeys property writes unless they are older than the newest that it knows, acknowledges and reports. `moody` ones
refuse now and then, `deaf` ones take a command and never answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NOTICE = "q_retain_device_sevice_notice"
DAYS = {1: 30, 2: 7, 3: 1}
"""`serviceStatus` on the wire, and the days before the end that it stands for (N2)."""


@dataclass
class Gadget:
    """One device; `heard` are the tickets that it was ever handed, in order."""

    number: int
    product_key: str
    key: str
    device_id: int
    owner_id: int
    locked: bool = False
    session: int = 0
    online: bool = False
    generation: int = 0
    mood: str = "obeys"
    heard: list[tuple[datetime, str, int, dict[str, Any]]] = field(default_factory=list)
    online_spans: list[list[datetime | None]] = field(default_factory=list)
    remembered: tuple[bool, int] = (False, 0)
    has_forgotten: bool = False

    def topic(self, tail: str) -> str:
        """Its own branch of the broker's tree."""
        return f"amp/{self.product_key}/{self.key}/{tail}"

    def connect(self, at: datetime) -> tuple[str, bytes]:
        """A new session; the status message says so."""
        self.session += 1
        self.online = True
        self.online_spans.append([at, None])
        return self._status(1)

    def leave(self, at: datetime) -> tuple[str, bytes]:
        """Said by the device, or by the broker as its last will."""
        self.online = False
        self.online_spans[-1][1] = at
        return self._status(0)

    def remember(self) -> None:
        """What it would wake up with after a loss of power."""
        self.remembered = (self.locked, self.generation)

    def lose_memory(self) -> None:
        """It restarts with an old state."""
        self.has_forgotten = self.has_forgotten or self.locked != self.remembered[0]
        self.locked, self.generation = self.remembered

    def take(self, payload: bytes, at: datetime) -> list[tuple[str, bytes]]:
        """What it says when a message comes: its ack, then how it is."""
        told = json.loads(payload)
        values, generation, ticket = told["data"]["kv"], int(told["generation"]), told["ticket"]
        self.heard.append((at, ticket, generation, values))
        if self.mood == "deaf":
            return []
        ok = self.mood != "refuses" and generation >= self.generation
        if ok:
            self.generation = generation
            if "service_lock" in values:
                self.locked, self.has_forgotten = values["service_lock"] == "true", False
        said = [(self.topic("up/ack"), _json({"ticket": ticket, "status": "succ" if ok else "fail"}))]
        return [*said, self.report()] if "service_lock" in values else said

    def report(self) -> tuple[str, bytes]:
        """How its lock is."""
        values = {"service_lock": "true" if self.locked else "false"}
        body = {"ticket": "r", "type": "MATTR", "subtype": "REPORT", "data": {"kv": values}}
        return self.topic("up/attr"), _json(body)

    def _status(self, value: int) -> tuple[str, bytes]:
        return self.topic("status"), _json({"value": value, "session": self.session})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
