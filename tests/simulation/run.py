"""One seed, one history: everything that happens to a fleet, in the order of virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from alerts import invariants as alerts
from billing import invariants as billing
from catalog.models import Plan
from devices import invariants as devices
from tests.simulation.beats import Beats
from tests.simulation.books import orders_in_their_books, refunds_in_their_books
from tests.simulation.checks import Checks
from tests.simulation.clockwork import DAY, HOUR, MINUTE, SECOND, START, Clockwork
from tests.simulation.deaths import Death, die, interrupted
from tests.simulation.endings import devices_at_the_end, notices_at_the_end
from tests.simulation.gadgets import Gadget
from tests.simulation.links import Bridges, Radio
from tests.simulation.people import People
from tests.simulation.profiles import Profile
from tests.simulation.refunding import Refunds
from tests.simulation.staff import Staff
from tests.simulation.traces import Found, Trace

WHILE_FAULTY = {"nothing_due_is_undone", "nothing_open_past_its_cache_time"}
"""What an audit may say as long as beats are stopped and processes die."""
AFTERWARDS = 3 * DAY
"""So long gateways are asked about codes that nobody told us about."""
MOST_STATEMENTS = 45
MOST_STEPS_WITHOUT_TIME = 3_000


class How(NamedTuple):
    """How a process ended; `committed`: it died after its commit."""

    value: Any = None
    died: bool = False
    committed: bool = False
    twin: str = ""


@dataclass
class Run:
    """A fleet and everybody around it."""

    seed: int
    profile: Profile
    gadgets: list[Gadget]
    plan_on_sale: Plan
    free_plan: Plan
    clock: Clockwork
    checks: Checks = field(init=False)
    trace: Trace = field(default_factory=Trace)
    faulty: bool = True
    never_stepped: bool = True
    stepped_at: datetime = START - DAY
    fate: str = ""
    has_committed: bool = False
    # Whether a process ran since the last look at what the database holds.
    is_stale: bool = True
    # How often each fault occurred.
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"run {self.seed}")
        self.by_key = {each.key: each for each in self.gadgets}
        self.by_topic = {each.topic("down/attr"): each for each in self.gadgets}
        self.by_id = {each.device_id: each for each in self.gadgets}
        self.device_ids = [each.device_id for each in self.gadgets]
        self.checks = Checks(self)
        self.radio, self.bridges, self.beats, self.people = Radio(self), Bridges(self), Beats(self), People(self)
        self.refunds, self.staff = Refunds(self), Staff(self)

    def play(self) -> None:
        """Everything, to the end; raises Found."""
        end = self.clock.at + self.profile.length
        self.checks.begin()
        for street in self.streets:
            self._come_later(street)
        self._sometimes(self.profile.buy_every, "buy", self._buy)
        self._sometimes(self.profile.trouble_every, "trouble", self._trouble)
        self._sometimes(self.profile.staff_every, "staff", self._staff)
        self._until(end)
        self._calm_down()
        self._until(self.clock.at + AFTERWARDS)
        self.audit(at_the_end=True)

    def plan(self, after: timedelta, name: str, event: Callable[[], object]) -> None:
        """Let something happen, as a step of its own if it has a name."""
        self.clock.plan(after, name, event)

    def happens(self, fault: str) -> bool:
        """Whether this goes wrong now."""
        met = self.faulty and self.chance.random() < self.profile.faults[fault]
        self.met[fault] += met
        return met

    def maybe_die(self) -> None:
        """Between statements, where a process speaks to the broker."""
        if self.fate == "dies" and self.chance.random() < 0.2:
            raise Death

    def woken(self, task: str) -> None:
        """In the place of the message that a service sends to Celery, after its commit."""
        if self.fate == "dies_after_commit":
            self.has_committed = True
            raise Death
        self.beats.woken(task)

    def process(self, work: Callable[[], Any]) -> How:
        """Run `work` as a process that may die or meet another one, as the seed says."""
        self.is_stale, self.has_committed, fates = True, False, self.profile.fates
        self.fate = self.chance.choices([*fates, ""], [*fates.values(), 1 - sum(fates.values())])[0]
        twins: list[str] = []
        meets = {"dies": die, "meets_a_twin": lambda: twins.append(self.beats.twin())}
        what = meets.get(self.fate if self.faulty else "", lambda: None)
        self.fate = self.fate if self.faulty else ""
        self.met[self.fate] += 1
        try:
            with interrupted(self.chance.randint(1, MOST_STATEMENTS), what):
                return How(work(), twin="".join(twins))
        except Death:
            return How(died=True, committed=self.has_committed)
        finally:
            self.fate = ""

    def step(self, name: str, event: Callable[[], object]) -> None:
        """One thing happens; then everything that it touched is looked at."""
        result = event()
        if not name:
            return
        self.trace.add(f"{self.clock.now():%Y-%m-%d %H:%M:%S.%f} {name}: {result}")
        happened = self.checks.after_step() if self.is_stale else []
        self.trace.add("", happened) if happened else None
        if self.trace.steps % self.profile.audit_every == 0:
            self.audit()

    def audit(self, *, at_the_end: bool = False) -> None:
        """What `manage.py audit` says, and what only the end can tell."""
        now = self.clock.now()
        for found in (*devices.violations(now=now), *billing.violations(), *alerts.violations(now=now)):
            if at_the_end or found.name not in WHILE_FAULTY:
                raise Found(f"audit: {found.name}", found.detail)
        if at_the_end:
            for check in (orders_in_their_books, refunds_in_their_books, devices_at_the_end, notices_at_the_end):
                for name, detail in check(self):
                    raise Found(name, detail)

    def _until(self, end: datetime) -> None:
        self.beats.plan_next()
        last, idle = self.clock.at, 0
        while (at := self.clock.next_at) is not None and at <= end:
            waiting = self.clock.next()
            assert waiting is not None
            self.step(*waiting)
            idle = 0 if self.clock.at - last > MINUTE else idle + 1
            last = self.clock.at if not idle else last
            if idle > MOST_STEPS_WITHOUT_TIME:
                raise Found("time_goes_on", f"{idle} steps within a minute")
            if waiting[0] and self.is_stale:
                self.beats.plan_next()
                self.is_stale = False
        self.clock.at = end

    @cached_property
    def streets(self) -> list[list[Gadget]]:
        """Who comes and goes together."""
        size = self.profile.street
        return [self.gadgets[place : place + size] for place in range(0, len(self.gadgets), size)]

    def _around(self, span: timedelta) -> timedelta:
        return span * self.chance.uniform(0.2, 1.8)

    def _sometimes(self, every: timedelta, name: str, event: Callable[[], object]) -> None:
        def now_and_then() -> object:
            if not self.faulty:
                return "no more"
            self.plan(self._around(every), name, now_and_then)
            return event()

        self.plan(self._around(every), name, now_and_then)

    def _come_later(self, street: list[Gadget]) -> None:
        self.plan(self._around(self.profile.away), f"on {street[0].key}", lambda: self._come(street))

    def _come(self, street: list[Gadget]) -> str:
        if not self.faulty:
            return "no more"
        self._connect([each for each in street if self.checks.services[each.device_id].state != "TERMINATED"])
        self.plan(self._around(self.profile.stay), f"off {street[0].key}", lambda: self._go(street))
        return f"{len(street)} devices"

    def _connect(self, gadgets: list[Gadget]) -> None:
        after = self.chance.choice([0, 2]) * SECOND
        for gadget in gadgets:
            self.bridges.hear(*gadget.connect(self.clock.at))
            if not self.happens("drop"):
                self.bridges.hear(*gadget.report(), after=after)

    def _go(self, street: list[Gadget]) -> str:
        if not self.faulty:
            return "no more"
        for gadget in street:
            if gadget.online:
                self.bridges.hear(*gadget.leave(self.clock.at))
        self._come_later(street)
        return f"{len(street)} devices"

    def _buy(self) -> str:
        return self.people.buy_at_the_end() if self.chance.random() < 0.3 else self.people.buy()

    def _staff(self) -> str:
        staff = self.staff
        acts = [self.refunds.ask, staff.restart, staff.transfer, staff.change_rule, staff.switch]
        act = self.chance.choices(acts, [3, 2, 2, 3, 1])[0]
        return f"{act.__name__} {act()}"

    def _trouble(self) -> str:
        self.is_stale = True
        kinds = [self._stop_beats, self._double_beats, self._step_clock, self._lose_memory, self._change_mood]
        if self.profile.terminates and self.chance.random() < 0.05:
            return self.people.terminate()
        kind = self.chance.choice([*kinds, self.people.resend, self.people.edit_plan, self.people.decide_hold])
        self.met[kind.__name__.strip("_")] += 1
        return kind()

    def _stop_beats(self) -> str:
        span = self.chance.choice([HOUR, DAY, 31 * DAY]) * self.chance.random()
        self.beats.stopped_until = self.clock.at + span
        return f"no beat for {span}"

    def _double_beats(self) -> str:
        self.beats.number = self.chance.randint(1, 3)
        return f"{self.beats.number} beats"

    def _step_clock(self) -> str:
        """A node's clock is wrong by less than what P5 forgives, and is set right one day."""
        self.clock.skew = timedelta(seconds=self.chance.choice([0, self.chance.uniform(-240, 240)]))
        self.never_stepped, self.stepped_at = False, self.clock.at
        for service in self.checks.services.values():
            service.uncertain = True
        return f"clocks are {self.clock.skew} off"

    def _lose_memory(self) -> str:
        gadget = self.chance.choice(self.gadgets)
        gadget.lose_memory()
        return f"{gadget.key} is as it was once"

    def _change_mood(self) -> str:
        gadget = self.chance.choice(self.gadgets)
        gadget.mood = self.chance.choice(["obeys", "obeys", "deaf", "refuses"])
        gadget.remember()
        self.plan(HOUR * self.chance.uniform(0.1, 3), "", lambda: self._cheer_up(gadget))
        return f"{gadget.key} {gadget.mood}"

    def _cheer_up(self, gadget: Gadget) -> None:
        gadget.mood = "obeys"

    def _calm_down(self) -> None:
        """No more faults: whatever was promised must now come true."""
        self.faulty = False
        self.beats.number, self.beats.stopped_until = 1, None
        for gadget in self.gadgets:
            gadget.mood = "obeys"
        services = self.checks.services
        self._connect([x for x in self.gadgets if not x.online and services[x.device_id].state != "TERMINATED"])
        self.plan(SECOND, "switch on", self.staff.switch_on)
        self.plan(MINUTE, "decide", self.people.decide_hold)
        for turn in range(1, 6):
            self.plan(turn * 75 * MINUTE, "reports", self._report_all)

    def _report_all(self) -> str:
        for gadget in self.gadgets:
            if gadget.online:
                self.bridges.hear(*gadget.report())
        return f"{len(self.gadgets)} devices"
