"""Time at the six sellers: customers act, gateways notify, beat's sweeps run; a seed decides who does what and when.

Both clocks and the gateways' stand still and are moved from event to event. Sweeps run on a grid of
60 s, the longest that the product promises, at each moment of it at which any row is due.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, cycle, islice, zip_longest

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Min

from amp.foundation.services.refusals import Refused
from billing import tasks
from billing.models import BankPayout, Order, PaymentAttempt, Refund, SandboxTrade
from tests.gateways.process import Gateways, Sent
from tests.money.buyers import Buyer, Ending
from tests.money.later_stories import LATER_STORIES
from tests.money.stories import OUTAGE, STORIES, Story
from tests.money.tills import Till, open_tills, people_pay_out
from tests.services.benches import deliver
from tests.services.shop import NOW, WALL, Loopback
from tests.stack.waiting import at_once, failures

SWEEP = timedelta(seconds=60)
WAVE, BETWEEN = timedelta(minutes=8), timedelta(minutes=45)
WAVE_SIZE = 125
AFTERWARDS = timedelta(days=2)
"""So long gateways are asked after the last customer came: the late checks are over by then."""
ALL = (*STORIES, *LATER_STORIES)
SWEEPS: tuple[Callable[[], int], ...] = (
    tasks.fulfil_paid_orders,
    tasks.poll_attempts,
    tasks.expire_orders,
    tasks.work_refunds,
    tasks.send_sandbox_notices,
)


@dataclass
class Day:
    """One run. `forged` counts notices that must be refused, `bad_answers` those that were answered as none may be;
    `broken` are stories that found something else than they must."""

    wire: Loopback
    gateways: Gateways
    tills: dict[str, Till] = field(default_factory=dict)
    buyers: list[Buyer] = field(default_factory=list)
    forged: int = 0
    bad_answers: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    passed: timedelta = timedelta()
    _waiting: list[tuple[timedelta, int, Buyer, Iterator[timedelta]]] = field(default_factory=list)
    _swept: timedelta = -SWEEP
    _turn: Iterator[int] = field(default_factory=count)

    @property
    def now(self) -> datetime:
        """The product's time."""
        return NOW + self.passed

    def run(self, orders: int, *, seed: int, stories: tuple[Story, ...] = ALL) -> None:
        """So many customers, each with one order, until nothing is left to happen."""
        chance = random.Random(seed)
        self.tills = open_tills(self.gateways, self.wire)
        for number, (story, kind) in enumerate(islice(_plays(stories, chance), orders)):
            self._expect(story, kind, number // WAVE_SIZE * BETWEEN, chance)
        self._play()
        if stories is ALL:
            self._outage(OUTAGE.kinds if orders > WAVE_SIZE else chance.sample(OUTAGE.kinds, 1), chance)
        self._sweep_until(self.passed + AFTERWARDS)

    def deliver(self) -> None:
        """What the gateways send now reaches us, over our own address."""
        self._delivered(self.gateways.notices())

    def deliver_and_poll_at_once(self, attempt: PaymentAttempt) -> None:
        """Every notice twice, beside two workers that ask the gateway about the same payment."""
        sent = self.gateways.notices()
        PaymentAttempt.objects.filter(pk=attempt.pk).update(due_at=self.now)
        SandboxTrade.objects.filter(number=attempt.number).update(notify_due_at=WALL + self.passed)
        jobs = [lambda: self._delivered(sent)] * 2 + [tasks.poll_attempts] * 2 + [tasks.send_sandbox_notices]
        assert failures(at_once(*jobs)) == []

    def _expect(self, story: Story, kind: str, earliest: timedelta, chance: random.Random) -> None:
        own = random.Random(chance.random())
        buyer = Buyer(self, self.tills[kind], len(self.buyers), story.name, own)
        self.buyers.append(buyer)
        begins = earliest + timedelta(seconds=own.randrange(WAVE // timedelta(seconds=1)))
        heapq.heappush(self._waiting, (begins, next(self._turn), buyer, story.play(buyer)))

    def _play(self) -> None:
        while self._waiting:
            at, _turn, buyer, story = heapq.heappop(self._waiting)
            self._sweep_until(at)
            self._move(at)
            try:
                wait = next(story)
            except StopIteration as done:
                ending: Ending = done.value
                buyer.ending = ending
            except (AssertionError, ObjectDoesNotExist, Refused) as wrong:
                self.broken.append(f"{buyer.story} at {buyer.till.kind} broke off: {wrong!r}")
            else:
                heapq.heappush(self._waiting, (self.passed + wait, next(self._turn), buyer, story))
            self.deliver()

    def _outage(self, kinds: Sequence[str], chance: random.Random) -> None:
        """Both gateways answer no call for a while; people go on paying."""
        start = self.passed + timedelta(minutes=1)
        for kind in kinds:
            self._expect(OUTAGE, kind, start, chance)
        self._play()

    def _sweep_until(self, end: timedelta) -> None:
        """Beat's sweeps, at every moment of the grid before `end` at which something is due."""
        while (tick := self._next_tick()) is not None and tick < end:
            self._move(tick)
            self._swept = tick
            for sweep in SWEEPS:
                sweep()
            people_pay_out(self.now)
            self.deliver()

    def _next_tick(self) -> timedelta | None:
        moments = [
            *(
                rows.aggregate(at=Min("due_at"))["at"]
                for rows in (PaymentAttempt.objects, Order.objects, Refund.objects)
            ),
            SandboxTrade.objects.aggregate(at=Min("notify_due_at"))["at"],
            self.now if BankPayout.objects.filter(confirmed_at=None).exists() else None,
        ]
        due = min((moment for moment in moments if moment), default=None)
        if due is None:
            return None
        return max(-((NOW - due) // SWEEP) * SWEEP, self._swept + SWEEP)

    def _move(self, passed: timedelta) -> None:
        if passed > self.passed:
            self.passed = passed
        _now, wall = self.wire.at(self.passed)
        self.gateways.at(wall)

    def _delivered(self, sent: list[Sent]) -> None:
        """A success, or a clear refusal; a gateway would repeat anything else."""
        self.bad_answers += [status for status, _body in deliver(sent) if status not in {200, 204, 401, 403}]


def _plays(stories: tuple[Story, ...], chance: random.Random) -> Iterator[tuple[Story, str]]:
    """Stories and where they happen, for ever: each story once before any comes again, each seller before any again."""
    rounds = [[(story, kind) for kind in chance.sample(story.kinds, len(story.kinds))] for story in stories]
    for plays in cycle(zip_longest(*rounds)):
        found = [play for play in plays if play]
        yield from chance.sample(found, len(found))
