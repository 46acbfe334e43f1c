"""Whether the broker is still the one that was last heard, or has died and begun anew with its state kept (P4).

A restarted broker that kept its sessions looks like one that was merely out of reach: it knows us, and says nothing of
devices that never come back. What betrays it is the time for which it says it has been running.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

SLACK = timedelta(seconds=60)
"""How far behind its last word a living broker's uptime may seem: what it retains is 10 s old, and clocks are set."""

_SECONDS = re.compile(rb"(\d{1,12})(?: seconds)?")


class BrokerLife(NamedTuple):
    """For how many seconds the broker said it has been running, and when that was heard (real time)."""

    uptime: int
    heard_at: datetime

    @property
    def began_at(self) -> datetime:
        """When this life began, at the latest: the word may have been on its way."""
        return self.heard_at - timedelta(seconds=self.uptime)


def broker_life(payload: bytes, heard_at: datetime) -> BrokerLife | None:
    """Read what Mosquitto says as `$SYS/broker/uptime`, such as "3600 seconds"; None where it is something else."""
    said = _SECONDS.fullmatch(payload.strip())
    return BrokerLife(int(said[1]), heard_at) if said else None


def has_restarted(before: BrokerLife | None, after: BrokerLife) -> bool:
    """Whether these are two lives. When in doubt it is one: a restart within seconds of a start isn't seen.

    Uptime never shrinks within a life, so a smaller one is proof. A broker that ran for less time than passed since it
    was last heard is proof too, but for the clocks.
    """
    if before is None:
        return False
    return after.uptime < before.uptime or after.began_at > before.heard_at + SLACK
