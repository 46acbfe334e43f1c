"""The demo's devices, in groups that share a story: some 200, in every state that a service and its lock can be in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from amp.demo import stories
from amp.demo.catalogue import Catalogue, Line
from amp.demo.history import Address, History
from amp.demo.organisation import ACTOR, Organisation
from amp.demo.stories import DAY
from amp.foundation.models import Enterprise, User
from devices.registration_csv import DeviceRow
from devices.services.registration import register_many

STAR = "FC4-TOUR"


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
    story: Callable[[stories.Life], None]
    # Days before now at which the first one starts, and how much later each next one does.
    starts: int
    spread: int = 0
    # How many are simulated, and whether those come online by themselves.
    simulated: int = 0
    online: bool = False
    key: str = ""


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
        start = self.morning - group.starts * DAY
        rows = [self._row(group, chance) for _number in range(group.size)]
        registered = start - 3 * DAY if group.starts > 3 else start
        new = register_many(
            product=group.line.product, enterprise=group.enterprise, rows=rows, actor=ACTOR, now=registered
        )
        for place, device in enumerate(new):
            address = Address(device.device_id, group.line.product.key, device.key)
            self.groups.setdefault(group.name, []).append(address)
            begin = start + place * group.spread * DAY
            group.story(stories.Life(self.history, address, group.line, begin, self.now, chance))
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

    @property
    def morning(self) -> datetime:
        """Half past eight in Shanghai: stories begin when people begin to work, and many at once."""
        today = self.now.astimezone(UTC).replace(hour=0, minute=30, second=0, microsecond=0)
        return today if today <= self.now else today - DAY

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
    year = 365 + stories.TRIAL_OF_AUTOSTEER // DAY
    return (
        Group("steer pending", line, maker, 9, stories.never, 20),
        Group("steer trial", line, maker, 10, stories.at_work_for(5), 6, simulated=2, online=True),
        Group("steer included", line, maker, 16, stories.included, 203, 7, simulated=3, online=True),
        Group("steer included north", line, north, 6, stories.included, 154, 7, simulated=1, online=True),
        Group("steer ends in 30 days", line, maker, 8, stories.included, year - 12, 1),
        Group("steer ends in 7 days", line, maker, 6, stories.included, year - 2, 1, simulated=1, online=True),
        Group("steer renewed twice", line, maker, 8, stories.renewed_twice, 413, 7, simulated=1, online=True),
        Group("steer locked", line, maker, 8, stories.expires_at_work, 399, 1, simulated=2, online=True),
        Group("steer lock waits", line, maker, 5, stories.expires_asleep, year + 5, 1, simulated=1),
        Group("steer lock stale", line, maker, 4, stories.expires_asleep, year + 22, 1),
        Group("steer unlock waits", line, maker, 4, stories.pays_asleep, 405, 1, simulated=1),
        Group("steer terminated", line, maker, 3, stories.taken_down, 300, 10),
    )


def _fieldcams(line: Line, organisation: Organisation) -> Sequence[Group]:
    """Ten minutes of trial, then months and years are bought."""
    maker, north = organisation.greenfield, organisation.north
    return (
        Group("star", line, maker, 1, stories.never, 2, simulated=1, key=STAR),
        Group("cam pending", line, maker, 9, stories.never, 9),
        Group("cam trial", line, maker, 5, stories.looks_briefly, 3),
        Group("cam yearly", line, maker, 14, stories.buys(12), 238, 14, simulated=2, online=True),
        Group("cam ends soon", line, maker, 7, stories.buys(1), 26, 1, simulated=1, online=True),
        Group("cam monthly", line, maker, 4, stories.buys_monthly, 100, 1),
        Group("cam locked", line, maker, 9, stories.tries_only, 60, 5, simulated=1, online=True),
        Group("cam lock waits", line, north, 4, stories.month_then_asleep, 36, 1),
        Group("cam unlock waits", line, maker, 3, stories.month_late, 50, 1),
        Group("cam north", line, north, 8, stories.buys(12), 182, 7),
        Group("cam terminated", line, maker, 2, stories.taken_down, 120, 10),
    )


def _tidelogs(line: Line, organisation: Organisation) -> Sequence[Group]:
    """A week of trial that paying ends early."""
    maker = organisation.bluewave
    return (
        Group("tide pending", line, maker, 6, stories.never, 15),
        Group("tide trial", line, maker, 10, stories.logs(3), 5, 0, simulated=1, online=True),
        Group("tide paid early", line, maker, 9, stories.pays_in_trial, 126, 7, simulated=1, online=True),
        Group("tide ends soon", line, maker, 6, stories.pays_a_month, 30, 1),
        Group("tide locked", line, maker, 7, stories.logs(12), 45, 2, simulated=1, online=True),
        Group("tide lock waits", line, maker, 4, stories.month_asleep, 38, 1),
        Group("tide yearly", line, maker, 8, stories.pays_in_trial, 343, 7),
    )


def _special_orders(fleet: Fleet, catalogue: Catalogue, staff: User) -> None:
    """What staff see besides single renewals: a batch, a change of mind, and money that could not be used."""
    yearly = fleet.groups["cam yearly"]
    fleet.history.purchase(yearly[3:8], catalogue.fieldcam.year, fleet.now - 9 * DAY, staff=staff)
    fleet.history.change_of_mind(yearly[8], catalogue.fieldcam.year, fleet.now - 8 * DAY, staff=staff)
    fleet.history.loss(yearly[9:12], catalogue.fieldcam.month, fleet.now - 5 * DAY, staff=staff)
