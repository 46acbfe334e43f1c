"""When the broker was last known alive, and what a loss of contact means for what comes after it (P4, P5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from devices.online_time.broker_life import BrokerLife, has_restarted

KEPT_FOR = timedelta(seconds=2)
"""Messages that come within this time of a reconnection may have waited at the broker since contact was lost."""


class Contact:
    """One listener's contact with the broker. Its moments are product time, those of a `BrokerLife` real time.

    `alive_at`: the last sign of the broker; the listener's caller keeps it up to date. `lost_at`: the last sign of it
    before this connection. `sessions_lost`: how often it had forgotten the listener, at the last look.
    """

    def __init__(
        self, alive_at: datetime | None = None, life: BrokerLife | None = None, stored_at: datetime | None = None
    ) -> None:
        """Begin with what was known when the process before this one ended; `stored_at`, real time: its last word."""
        self.alive_at = alive_at
        self.life = life
        self.stored_at = stored_at
        self.missed_something = False
        self.lost_at: datetime | None = None
        self.sessions_lost = 0
        self._connections = 0
        self._knows_life = False
        self._kept_until: datetime | None = None

    def is_renewed(self, connections: int) -> bool:
        """Whether the listener, which has now connected so often, has done so since the last look."""
        return connections != self._connections

    def renew(self, connections: int, sessions_lost: int, now: datetime) -> None:
        """Remember when contact was lost.

        Only who lived through the loss knows that the broker was away: for one that was away itself, messages count
        from their receipt (P5).
        """
        self.lost_at = self.alive_at
        self._kept_until = now + KEPT_FOR if self._connections else None
        self._connections, self.sessions_lost = connections, sessions_lost
        self._knows_life = False

    def meets_another(self, life: BrokerLife) -> bool:
        """Whether this connection's first word of the broker tells that it isn't the one that we knew."""
        return not self._knows_life and has_restarted(self.life, life)

    def know(self, life: BrokerLife) -> None:
        """Remember the broker's life for the connections to come."""
        self.life, self._knows_life = life, True

    def is_back(self, wall: datetime, *, after: timedelta) -> bool:
        """Whether contact, which there is now, was lost for longer than `after`, or the broker has forgotten something:
        online times are behind, or were estimated (P4, P8)."""
        return self.missed_something or (self.stored_at is not None and wall - self.stored_at > after)

    def stored(self, wall: datetime) -> None:
        """The database knows that there is contact, and since when."""
        self.stored_at, self.missed_something = wall, False

    def kept_since(self, received_at: datetime) -> datetime | None:
        """Since when a message may have waited at the broker; None where it can't have."""
        if self.lost_at is None or self._kept_until is None:
            return None
        return self.lost_at if self.lost_at < received_at <= self._kept_until else None
