"""What is looked at after every step: only what the step touched; everything, now and then and at the end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from devices.services.uplinks import Inbound
from tests.simulation.brake import Brake
from tests.simulation.clockwork import SECOND, START
from tests.simulation.gadgets import DAYS, NOTICE, Gadget
from tests.simulation.model import DAY, Service
from tests.simulation.money import Money
from tests.simulation.reading import COMMANDS, SERVICES, Event, events_after, rows
from tests.simulation.record import Record
from tests.simulation.rules import Rule
from tests.simulation.traces import Found

if TYPE_CHECKING:
    from tests.simulation.run import Run

FINAL = {"CONFIRMED", "FAILED", "STALE", "CANCELLED", "SUPERSEDED"}
LEFT = {30: (7, 30), 7: (1, 7), 1: (0, 1)}
"""A notice of so many days goes out while more than the first and at most the second are left (N2, N6)."""


@dataclass
class Checks:
    """`services` is the model's word for each device id."""

    run: Run
    services: dict[int, Service] = field(default_factory=dict)
    notices_since: datetime | None = None
    touched: set[int] = field(default_factory=set)
    events: int = 0
    final: dict[int, str] = field(default_factory=dict)
    generations: dict[int, int] = field(default_factory=dict)
    announced: dict[tuple[int, datetime, int], str] = field(default_factory=dict)
    due: list[tuple[str, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        owners = Counter(gadget.owner_id for gadget in self.run.gadgets)
        self.brakes = {owner: Brake(devices) for owner, devices in owners.items()}
        self.money = Money(self.run.profile.refund_threshold, self.services)
        profile = self.run.profile
        self.rule = Rule(profile.trial_start, profile.trial_end, START)
        self.record = Record(self)

    def brake(self, pk: int) -> Brake:
        """That of the device's enterprise."""
        return self.brakes[self.run.by_id[pk].owner_id]

    def begin(self) -> None:
        """What is on record by now made the world."""
        self.events = max((event.id for event in events_after(0)), default=0)

    def delivered(self, gadget: Gadget, told: dict[str, Any], sent_at: datetime) -> None:
        """A message reached a device: none is older than one that reached it before (R3), and notices are true (N4)."""
        generation, values = int(told["generation"]), told["data"]["kv"]
        self.touched.add(gadget.device_id)
        if NOTICE in values:
            return self._announced(gadget, told["ticket"], DAYS[values[NOTICE]["serviceStatus"]], sent_at)
        newest = max((each[2] for each in gadget.heard if "service_lock" in each[3]), default=0)
        if generation < newest and sent_at - self.run.stepped_at > 10 * SECOND:
            raise Found("no_older_after_newer", f"{gadget.key} got {generation} after {newest}")
        if values.get("service_lock") == "true" and not self.brake(gadget.device_id).lets(gadget.device_id):
            raise Found("many_locks_wait_for_a_person", f"{gadget.key} is one too many within an hour")

    def _announced(self, gadget: Gadget, ticket: str, days: int, sent_at: datetime) -> None:
        service, sent = self.services[gadget.device_id], sent_at + self.run.clock.skew
        if (service.set_at and service.set_at > sent - 10 * SECOND) or self.run.stepped_at > sent_at - 10 * SECOND:
            return  # renewed while it was on its way
        left = service.ends_at - sent if service.ends_at else timedelta()
        least, most = LEFT[days]
        slack = 10 * SECOND
        if service.state != "ACTIVE" or not least * DAY - slack < left <= most * DAY + slack:
            raise Found("a_notice_is_true", f"{gadget.key} is {service.state}, heard {days} days with {left} left")
        assert service.ends_at is not None
        first = self.announced.setdefault((gadget.device_id, service.ends_at, days), ticket)
        if first != ticket:
            raise Found("a_notice_is_told_once", f"{gadget.key} heard of {days} days before {service.ends_at} twice")

    def heard(self, message: Inbound) -> None:
        """A message of a device was applied and committed."""
        topic = message.topic.split("/")
        pk = self.run.by_key[topic[2]].device_id
        service, body = self.services[pk], json.loads(message.payload)
        if service.state == "TERMINATED":
            return
        self.touched.add(pk)
        if topic[3] == "status":
            service.online.say(body["session"], online=bool(body["value"]), at=message.at)
        elif not service.online.is_open():
            service.uncertain = True  # an uplink that is first opens a session that nobody named (F60)

    def dropped(self, reasons: Counter[str]) -> None:
        """The bridge throws nothing away but what terminated devices still say."""
        ended = any(service.state == "TERMINATED" for service in self.services.values())
        if reasons and not (ended and set(reasons) == {"unknown_device"}):
            raise Found("nothing_is_dropped", str(dict(reasons)))

    def worked(self, task: str, began: datetime) -> None:
        """A task came to its end: what was due when it began must be done by now."""
        self.due.append((task, began))

    def attempted(self, task: str, began: datetime) -> None:
        """A task died, or gave up, or was another process's: nobody knows how far it came."""
        if task == "notices":
            for service in self.services.values():
                service.told |= {key: None for key in service.notices(began, self.since) if key not in service.told}

    @property
    def since(self) -> datetime:
        """When alerts were switched on."""
        assert self.notices_since is not None
        return self.notices_since

    def next_notice(self, after: datetime | None) -> datetime | None:
        """When a notice falls due next."""
        after = after or self.since
        found = (service.next_notice(after, self.since) for service in self.services.values())
        return min((at for at in found if at), default=None)

    def after_step(self) -> list[Event]:
        """Look at what happened since the last step; the new events, for the trace."""
        events = events_after(self.events)
        if events:
            self.events = events[-1].id
            self.touched |= self.record.follow(events)
        for task, began in self.due:
            self._done(task, began)
        self.due.clear()
        if self.touched:
            self._rows(sorted(self.touched))
            self.touched.clear()
        return [each._replace(after=_without_ticket(each.after)) for each in events]

    def _done(self, task: str, began: datetime) -> None:
        if task == "advance":
            for pk, service in self.services.items():
                due = service.due_at()
                if due and due <= began and not (service.uncertain and service.state in {"PENDING", "TRIAL"}):
                    raise Found("what_is_due_is_done", f"device {pk} is {service.state}, was due {due}")
        if task == "notices":
            for service in self.services.values():
                service.told = service.notices(began, self.since) | service.told

    def _rows(self, ids: list[int]) -> None:
        newest: dict[int, tuple[str, int]] = {}
        for command, pk, owner, kind, status, generation in rows(COMMANDS, ids):
            newest[pk] = (kind, generation)
            self._final(command, status)
            self._owned(pk, owner)
        for pk, owner, state, wanted, generation in rows(SERVICES, ids):
            model = self.services[pk]
            self._owned(pk, owner)
            if state != model.state:
                raise Found("state_as_the_spec_says", f"device {pk} is {state}, the spec says {model.state}")
            if generation < self.generations.get(pk, 0):
                raise Found("generation_never_goes_down", f"device {pk}")
            self.generations[pk] = generation
            if model.wants_lock is not None and (wanted == "LOCKED") != model.wants_lock:
                raise Found("lock_as_the_spec_says", f"device {pk} is {state} and wants {wanted}")
            own = ("LOCK" if model.wants_lock else "UNLOCK", generation)
            if model.wants_lock is not None and newest.get(pk) != own:
                raise Found("the_newest_command_says_it", f"device {pk} wants {wanted} by {own}: {newest.get(pk)}")

    def _owned(self, pk: int, owner: int) -> None:
        if owner != self.run.by_id[pk].owner_id:
            raise Found("a_device_stays_its_owners", f"device {pk} or a command of it is of enterprise {owner}")

    def _final(self, pk: int, status: str) -> None:
        known = self.final.get(pk)
        if known and known != status:
            raise Found("what_is_over_stays_over", f"command {pk} was {known}, is {status}")
        if status in FINAL:
            self.final[pk] = status


def _without_ticket(after: dict[str, Any] | None) -> dict[str, Any]:
    """A command is known by its device and generation."""
    return {name: value for name, value in (after or {}).items() if name != "ticket"}
