"""The brake on many LOCKs at once, from the spec alone (P8): written from nothing of the product."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
LEAST, SHARE = 100, 0.2
"""Beyond so many devices, or this share of an enterprise's where that is more, LOCKs of an hour wait for a person."""


@dataclass
class Brake:
    """One enterprise's: which LOCKs were ordered when, as events say, and which of them devices heard."""

    devices: int
    ordered: dict[int, datetime] = field(default_factory=dict)
    heard: dict[int, datetime] = field(default_factory=dict)

    def lock(self, device: int, at: datetime) -> None:
        """A service expired: a LOCK is ordered."""
        self.ordered[device] = at
        self.heard.pop(device, None)

    def confirm(self) -> None:
        """A person decided: what was held may go, and the count begins anew."""
        self.ordered.clear()
        self.heard.clear()

    def excuse(self, device: int) -> None:
        """A person ordered this one: no brake holds it."""
        self.ordered.pop(device, None)

    def lets(self, device: int) -> bool:
        """A LOCK reached the device: whether nobody had to be asked first."""
        at = self.ordered.get(device)
        if at is None:
            return True
        self.heard[device] = at
        within = sum(at - HOUR < other <= at for other in self.heard.values())
        return within <= max(LEAST, self.devices * SHARE)
