"""How large a history is and how much goes wrong in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta

from tests.simulation.clockwork import DAY, HOUR

FAULTS = {
    "drop": 0.06,
    "duplicate": 0.06,
    "delay": 0.15,
    "reorder": 0.08,
    "broker_away": 0.03,
    "redis_empty": 0.15,
    "walks_away": 0.1,
}
FATES = {"dies": 0.05, "dies_after_commit": 0.02, "meets_a_twin": 0.05}


@dataclass(frozen=True)
class Profile:
    """`every` says how often something happens on average; None: never."""

    devices: int
    length: timedelta
    zone: str = "Asia/Shanghai"
    months: int = 1
    trial_start: timedelta = HOUR
    trial_end: timedelta = 3 * HOUR
    cache: timedelta = 7 * DAY
    street: int = 1
    away: timedelta = 2 * DAY
    stay: timedelta = 6 * HOUR
    buy_every: timedelta = 8 * DAY
    trouble_every: timedelta = 5 * DAY
    round_every: timedelta = 3 * DAY
    audit_every: int = 400
    faults: dict[str, float] = field(default_factory=lambda: dict(FAULTS))
    fates: dict[str, float] = field(default_factory=lambda: dict(FATES))
    terminates: bool = True


def small(seed: int) -> Profile:
    """Some devices for some months; the seed chooses the rest."""
    chance = random.Random(f"profile {seed}")
    return Profile(
        devices=chance.randint(2, 3),
        length=chance.uniform(36, 48) * DAY,
        zone=chance.choice(["Asia/Shanghai", "Europe/Berlin", "America/New_York"]),
        trial_start=chance.choice([timedelta(), HOUR / 2, HOUR]),
        trial_end=chance.choice([2, 6]) * HOUR,
        cache=chance.choice([1, 7, 90]) * DAY,
        away=chance.choice([2, 4]) * DAY,
        stay=chance.choice([2, 5]) * HOUR,
        round_every=10 * DAY,
    )


def large(devices: int, years: float) -> Profile:
    """A fleet for years; whole streets of devices come and go together, so that a step moves many."""
    return Profile(
        devices=devices,
        length=years * 365 * DAY,
        zone="Europe/Berlin",
        months=3,
        street=max(devices // 8, 1),
        away=40 * HOUR,
        stay=8 * HOUR,
        buy_every=2 * DAY,
        trouble_every=6 * DAY,
        round_every=10 * DAY,
        audit_every=1_500,
    )
