"""How large a history is and how much goes wrong in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
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
    "call_lost": 0.15,
    "answer_lost": 0.15,
}
FATES = {"dies": 0.05, "dies_after_commit": 0.02, "meets_a_twin": 0.05}


@dataclass(frozen=True)
class Profile:
    """`every` says how often something happens on average; `refund_threshold` is minor units.

    `child_zone`: the last street belongs to a child enterprise there, and is sold by the maker all the same (E1).
    `turn`: so many seconds a bridge gathers messages before it applies them.
    """

    devices: int
    length: timedelta
    zone: str = "Asia/Shanghai"
    child_zone: str = ""
    months: int = 1
    trial_start: timedelta = HOUR
    trial_end: timedelta = 3 * HOUR
    cache: timedelta = 7 * DAY
    street: int = 1
    away: timedelta = 2 * DAY
    stay: timedelta = 6 * HOUR
    buy_every: timedelta = 8 * DAY
    trouble_every: timedelta = 5 * DAY
    staff_every: timedelta = 5 * DAY
    refund_threshold: int = 15_000
    turn: tuple[float, float] = (2.05, 2.6)
    round_every: timedelta = 3 * DAY
    audit_every: int = 400
    faults: dict[str, float] = field(default_factory=lambda: dict(FAULTS))
    fates: dict[str, float] = field(default_factory=lambda: dict(FATES))
    terminates: bool = True


def small(seed: int) -> Profile:
    """Some devices for some weeks; the seed chooses the rest."""
    chance = random.Random(f"profile {seed}")
    devices = chance.randint(2, 3)
    return Profile(
        devices=devices,
        street=chance.choice([1, devices]),
        length=chance.uniform(36, 48) * DAY,
        zone=chance.choice(["Asia/Shanghai", "Europe/Berlin", "America/New_York"]),
        child_zone=chance.choice(["", "America/New_York"]) if devices > 2 else "",
        trial_start=chance.choice([timedelta(), HOUR / 2, HOUR]),
        trial_end=chance.choice([2, 6]) * HOUR,
        cache=chance.choice([1, 7, 90]) * DAY,
        away=chance.choice([4, 7]) * DAY,
        stay=chance.choice([2, 5]) * HOUR,
        round_every=10 * DAY,
    )


def young(seed: int) -> Profile:
    """A small history of long trials, whose rule changes every few days (A5)."""
    return replace(
        small(seed),
        trial_start=4 * HOUR,
        trial_end=16 * HOUR,
        away=2 * DAY,
        staff_every=1.5 * DAY,
        buy_every=20 * DAY,
        trouble_every=20 * DAY,
        length=24 * DAY,
    )


def busy(seed: int) -> Profile:
    """A small history in which people buy, give back and set other prices all the time (E3, A14)."""
    return replace(small(seed), buy_every=2 * DAY, trouble_every=1.5 * DAY, staff_every=2 * DAY)


def bargaining(seed: int) -> Profile:
    """A small history in which the plan on sale changes between many a code and its payment (E3)."""
    return replace(busy(seed), faults=FAULTS | {"priced_anew": 0.6})


def crowd(seed: int) -> Profile:
    """Many devices whose trials end together: more LOCKs within an hour than go without a person (P8)."""
    chance = random.Random(f"crowd {seed}")
    return Profile(
        devices=120,
        length=8 * DAY,
        trial_end=2 * HOUR,
        street=120,
        away=chance.uniform(12, 20) * HOUR,
        faults=FAULTS | {"duplicate": 0.02, "reorder": 0.02},
        trouble_every=20 * HOUR,
    )


def large(devices: int, years: float) -> Profile:
    """A fleet for years; whole streets of devices come and go together and are renewed together: a step moves many.

    So messages are rarer to go astray than in a small history: there are more of them in each step.
    """
    return Profile(
        devices=devices,
        length=years * 365 * DAY,
        zone="Europe/Berlin",
        child_zone="Asia/Shanghai",
        trial_end=20 * HOUR,
        street=max(devices // 5, 1),
        away=9 * DAY,
        stay=9 * HOUR,
        buy_every=7 * DAY,
        trouble_every=4 * DAY,
        staff_every=8 * DAY,
        refund_threshold=300_000,
        round_every=10 * DAY,
        audit_every=1_500,
        faults=FAULTS | {"duplicate": 0.02, "reorder": 0.02},
    )
