"""What devices of the demo live through, from their first session until now. Days count from the start of a story."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from amp.demo.catalogue import Line
from amp.demo.history import Address, History

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
YEAR = timedelta(days=365)
TRIAL_OF_AUTOSTEER = 7 * DAY + 2 * HOUR
"""72 h online in sessions of 10 h a day."""


@dataclass
class Life:
    """One device about to live its story from `start` until `now`."""

    history: History
    device: Address
    line: Line
    start: datetime
    now: datetime
    random: random.Random

    def at(self, days: float) -> datetime:
        """A moment this many days after the start, give or take a minute."""
        return self.start + days * DAY + self.random.uniform(0, 60) * timedelta(seconds=1)

    def online(self, days: float, hours: float, *, watched: bool = False) -> None:
        """A session; one that would still be open now is left out: nothing holds it open."""
        begin = self.at(days)
        end = begin + hours * HOUR
        if end < self.now - 10 * MINUTE:
            self.history.session(self.device, begin, end, watched=watched)

    def pay(self, days: float, months: int) -> None:
        """Somebody scans the code and pays."""
        plan = self.line.year if months == 12 else self.line.month
        self.history.purchase([self.device], plan, self.at(days))


def never(life: Life) -> None:
    """Still in its box."""


def at_work_for(days: int) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        for day in range(days):
            life.online(day, 8, watched=day == 0)

    return story


def works_through_its_trial(life: Life) -> None:
    """Eight days of ten hours: the trial starts on the first of them and ends on the last."""
    for day in range(8):
        life.online(day, 10, watched=day in {0, 7})


def included(life: Life) -> None:
    """Worked through its trial; now in the year that came with it, and used now and then."""
    works_through_its_trial(life)
    for day in range(30, 380, 50):
        life.online(day, 6)


def renewed_twice(life: Life) -> None:
    """1 year and 1 year more, bought before the included one ended."""
    included(life)
    life.pay(330, 12)
    life.pay(340, 12)


def expires_at_work(life: Life) -> None:
    """Online when its year ends: locked at once, and it says so."""
    works_through_its_trial(life)
    life.online(YEAR / DAY + 6.5, 40)


def expires_asleep(life: Life) -> None:
    """Switched off for the winter when its year ended: the lock waits, at most for the cache time."""
    works_through_its_trial(life)
    life.online(300, 5)


def pays_asleep(life: Life) -> None:
    """Locked, switched off, then paid for: the unlock waits for the device."""
    expires_at_work(life)
    life.pay((life.now - life.start) // DAY - 2, 12)


def taken_down(life: Life) -> None:
    life.online(0, 3, watched=True)
    life.history.termination(life.device, life.at(30))


def looks_briefly(life: Life) -> None:
    """Seven minutes: in its trial, which runs from 5 to 10."""
    life.online(0, 7 / 60, watched=True)


def tries_only(life: Life) -> None:
    life.online(0, 2, watched=True)


def buys(months: int) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        """Tries, is locked, is paid for within the hour."""
        life.online(0, 4, watched=True)
        life.pay(0.06, months)
        for day in range(3, 60, 9):
            life.online(day, 5)

    return story


def buys_monthly(life: Life) -> None:
    life.online(0, 4, watched=True)
    for month in range(4):
        life.pay(0.06 + month * 28, 1)


def month_then_asleep(life: Life) -> None:
    life.online(0, 3, watched=True)
    life.pay(0.05, 1)
    life.online(9, 5)


def month_late(life: Life) -> None:
    """Locked after its trial, gone, paid for a month only yesterday."""
    life.online(0, 3, watched=True)
    life.pay((life.now - life.start) // DAY - 1, 1)


def logs(days: float) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        life.online(0, days * 24, watched=True)

    return story


def pays_in_trial(life: Life) -> None:
    life.online(0, 60, watched=True)
    life.pay(2, 12)
    life.online(20, 72)


def pays_a_month(life: Life) -> None:
    life.online(0, 60, watched=True)
    life.pay(2, 1)


def month_asleep(life: Life) -> None:
    life.online(0, 60, watched=True)
    life.pay(2, 1)
