"""The demo's devices, in groups that share a story: some 200, in every state that a service and its lock can be in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from amp.demo.catalogue import Catalogue, Line
from amp.demo.history import Address, History
from amp.demo.organisation import ACTOR, Organisation
from amp.foundation.models import Enterprise, User
from devices.registration_csv import DeviceRow
from devices.services.registration import register_many

STAR = "FC4-TOUR"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
YEAR = timedelta(days=365)
TRIAL_OF_AUTOSTEER = 7 * DAY + 2 * HOUR
"""72 h online in sessions of 10 h a day."""


class Known(NamedTuple):
    """A device that the demo tells about, with secrets that only registration knows."""

    name: str
    device_id: int
    product_key: str
    key: str
    mqtt_password: str
    renewal_token: str
    is_simulated: bool
    is_online: bool


@dataclass
class Group:
    """Devices that live through the same story, each some days after the one before."""

    name: str
    line: Line
    enterprise: Enterprise
    size: int
    story: Callable[[Life], None]
    # Days before now at which the first one starts, and how much later each next one does.
    starts: float
    spread: float = 0.0
    # How many are simulated, and whether those come online by themselves.
    simulated: int = 0
    online: bool = False
    key: str = ""


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


@dataclass
class Fleet:
    """Registers the groups and writes their deeds into the history."""

    history: History
    now: datetime
    known: list[Known] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    groups: dict[str, list[Address]] = field(default_factory=dict)

    def add(self, group: Group) -> None:
        """Register the group's devices some days before their story begins."""
        chance = random.Random(group.name)  # noqa: S311 (the same fleet every time)
        start = self.now - group.starts * DAY
        rows = [self._row(group, chance) for _number in range(group.size)]
        registered = start - 3 * DAY if group.starts > 3 else start
        new = register_many(
            product=group.line.product, enterprise=group.enterprise, rows=rows, actor=ACTOR, now=registered
        )
        for place, device in enumerate(new):
            address = Address(device.device_id, group.line.product.key, device.key)
            self.groups.setdefault(group.name, []).append(address)
            begin = start + place * group.spread * DAY
            group.story(Life(self.history, address, group.line, begin, self.now, chance))
            self.known.append(
                Known(
                    group.name if place == 0 else f"{group.name} {place + 1}",
                    device.device_id,
                    address.product_key,
                    device.key,
                    device.password,
                    device.renewal_token,
                    place < group.simulated,
                    place < group.simulated and group.online,
                )
            )

    def _row(self, group: Group, chance: random.Random) -> DeviceRow:
        product = group.line.product
        number = self.numbers[product.key] = self.numbers.get(product.key, 0) + 1
        return DeviceRow(
            key=group.key or f"{product.key}-{number:04d}",
            serial=f"{product.key}2405{number:05d}",
            name=f"{product.name} {number:03d}" if not group.key else f"{product.name} for the tour",
            iccid=f"8986{chance.randrange(10**15, 10**16)}",
        )


def build_fleet(
    catalogue: Catalogue, organisation: Organisation, staff: User, *, history: History, now: datetime
) -> list[Known]:
    """Register all devices and write their past into `history`; the devices with their secrets."""
    fleet = Fleet(history, now)
    for group in [
        *_autosteers(catalogue.autosteer, organisation),
        *_fieldcams(catalogue.fieldcam, organisation),
        *_tidelogs(catalogue.tidelog, organisation),
    ]:
        fleet.add(group)
    _special_orders(fleet, catalogue, staff)
    return fleet.known


def _autosteers(line: Line, organisation: Organisation) -> Sequence[Group]:
    """A long trial by working hours, then the included year."""
    maker, north = organisation.greenfield, organisation.north
    year = 365 + TRIAL_OF_AUTOSTEER / DAY
    return (
        Group("steer pending", line, maker, 9, _never, 20),
        Group("steer trial", line, maker, 10, _at_work_for(5), 6, simulated=2, online=True),
        Group("steer included", line, maker, 16, _included, 200, 7, simulated=3, online=True),
        Group("steer included north", line, north, 6, _included, 150, 9, simulated=1, online=True),
        Group("steer ends in 30 days", line, maker, 8, _included, year - 12, 2),
        Group("steer ends in 7 days", line, maker, 6, _included, year - 2, 0.8, simulated=1, online=True),
        Group("steer renewed twice", line, maker, 8, _renewed_twice, 410, 3, simulated=1, online=True),
        Group("steer locked", line, maker, 8, _expires_at_work, 400, 2, simulated=2, online=True),
        Group("steer lock waits", line, maker, 5, _expires_asleep, year + 5, 0.9, simulated=1),
        Group("steer lock stale", line, maker, 4, _expires_asleep, year + 22, 2),
        Group("steer unlock waits", line, maker, 4, _pays_asleep, 405, 1, simulated=1),
        Group("steer terminated", line, maker, 3, _taken_down, 300, 10),
    )


def _fieldcams(line: Line, organisation: Organisation) -> Sequence[Group]:
    """Ten minutes of trial, then months and years are bought."""
    maker, north = organisation.greenfield, organisation.north
    return (
        Group("star", line, maker, 1, _never, 2, simulated=1, key=STAR),
        Group("cam pending", line, maker, 9, _never, 9),
        Group("cam trial", line, maker, 5, _looks_briefly, 3),
        Group("cam yearly", line, maker, 14, _buys(12), 240, 14, simulated=2, online=True),
        Group("cam ends soon", line, maker, 7, _buys(1), 26, 0.7, simulated=1, online=True),
        Group("cam monthly", line, maker, 4, _buys_monthly, 100, 1),
        Group("cam locked", line, maker, 9, _tries_only, 60, 5, simulated=1, online=True),
        Group("cam lock waits", line, north, 4, _month_then_asleep, 36, 0.9),
        Group("cam unlock waits", line, maker, 3, _month_late, 50, 1),
        Group("cam north", line, north, 8, _buys(12), 180, 9),
        Group("cam terminated", line, maker, 2, _taken_down, 120, 10),
    )


def _tidelogs(line: Line, organisation: Organisation) -> Sequence[Group]:
    """A week of trial that paying ends early."""
    maker = organisation.bluewave
    return (
        Group("tide pending", line, maker, 6, _never, 15),
        Group("tide trial", line, maker, 10, _logs(3), 5, 0.1, simulated=1, online=True),
        Group("tide paid early", line, maker, 9, _pays_in_trial, 120, 8, simulated=1, online=True),
        Group("tide ends soon", line, maker, 6, _pays_a_month, 30, 0.9),
        Group("tide locked", line, maker, 7, _logs(12), 45, 2, simulated=1, online=True),
        Group("tide lock waits", line, maker, 4, _month_asleep, 38, 0.9),
        Group("tide yearly", line, maker, 8, _pays_in_trial, 340, 3),
    )


def _special_orders(fleet: Fleet, catalogue: Catalogue, staff: User) -> None:
    """What staff see besides single renewals: a batch, a change of mind, and money that could not be used."""
    yearly = fleet.groups["cam yearly"]
    fleet.history.purchase(yearly[3:8], catalogue.fieldcam.year, fleet.now - 9 * DAY, staff=staff)
    fleet.history.change_of_mind(yearly[8], catalogue.fieldcam.year, fleet.now - 8 * DAY, staff=staff)
    fleet.history.loss(yearly[9:12], catalogue.fieldcam.month, fleet.now - 5 * DAY, staff=staff)


def _never(life: Life) -> None:
    """Still in its box."""


def _at_work_for(days: int) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        for day in range(days):
            life.online(day, 8)

    return story


def _included(life: Life) -> None:
    """Worked through its trial; now in the year that came with it, and used now and then."""
    for day in range(8):
        life.online(day, 10)
    for day in range(30, 380, 50):
        life.online(day, 6)


def _renewed_twice(life: Life) -> None:
    """1 year and 1 year more, bought before the included one ended."""
    _included(life)
    life.pay(330, 12)
    life.pay(340, 12)


def _expires_at_work(life: Life) -> None:
    """Online when its year ends: locked at once, and it says so."""
    for day in range(8):
        life.online(day, 10)
    life.online(YEAR / DAY + 6.5, 40)


def _expires_asleep(life: Life) -> None:
    """Switched off for the winter when its year ended: the lock waits, at most for the cache time."""
    for day in range(8):
        life.online(day, 10)
    life.online(300, 5)


def _pays_asleep(life: Life) -> None:
    """Locked, switched off, then paid for: the unlock waits for the device."""
    _expires_at_work(life)
    life.pay((life.now - life.start) / DAY - 2, 12)


def _taken_down(life: Life) -> None:
    life.online(0, 3, watched=True)
    life.history.termination(life.device, life.at(30))


def _looks_briefly(life: Life) -> None:
    """Seven minutes: in its trial, which runs from 5 to 10."""
    life.online(0, 7 / 60, watched=True)


def _tries_only(life: Life) -> None:
    life.online(0, 2, watched=True)


def _buys(months: int) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        """Tries, is locked, is paid for within the hour."""
        life.online(0, 4, watched=True)
        life.pay(0.06, months)
        for day in range(3, 60, 9):
            life.online(day, 5)

    return story


def _buys_monthly(life: Life) -> None:
    life.online(0, 4, watched=True)
    for month in range(4):
        life.pay(0.06 + month * 28, 1)


def _month_then_asleep(life: Life) -> None:
    life.online(0, 3, watched=True)
    life.pay(0.05, 1)
    life.online(9, 5)


def _month_late(life: Life) -> None:
    """Locked after its trial, gone, paid for a month only yesterday."""
    life.online(0, 3, watched=True)
    life.pay((life.now - life.start) / DAY - 1, 1)


def _logs(days: float) -> Callable[[Life], None]:
    def story(life: Life) -> None:
        life.online(0, days * 24)

    return story


def _pays_in_trial(life: Life) -> None:
    life.online(0, 60)
    life.pay(2, 12)
    life.online(20, 72)


def _pays_a_month(life: Life) -> None:
    life.online(0, 60)
    life.pay(2, 1)


def _month_asleep(life: Life) -> None:
    life.online(0, 60)
    life.pay(2, 1)
