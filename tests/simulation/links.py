"""The radio between devices and the product: slow, forgetful, repeating itself; and the bridges at its near end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from devices.services.uplinks import Inbound, apply_batch
from devices.transports.base import BrokerUnavailable, Downlink, Outcome, Receipt
from tests.simulation.clockwork import SECOND
from tests.simulation.gadgets import Gadget

if TYPE_CHECKING:
    from tests.simulation.run import Run

EXPIRES = 5 * SECOND
"""A broker throws a command away that it couldn't hand over in this time (wire)."""


@dataclass
class Radio:
    """A `CommandTransport`; what it lets through reaches a `Gadget`."""

    run: Run
    published: int = 0
    newest: dict[int, int] = field(default_factory=dict)

    def publish(self, messages: Sequence[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        """At least once, if at all."""
        self.run.maybe_die()
        if self.run.happens("broker_away"):
            raise BrokerUnavailable("away")
        receipts = [self._sent(message) for message in messages]
        self.run.maybe_die()
        return receipts

    def ping(self, *, timeout: float = 5.0) -> float:
        """Always there."""
        return 0.0

    def close(self) -> None:
        """Nothing to let go."""

    def _sent(self, message: Downlink) -> Receipt:
        gadget = self.run.by_topic[message.topic]
        if not gadget.online:
            return Receipt(Outcome.NO_SUBSCRIBER, "nobody is subscribed")
        self.published += 1
        for _copy in range(2 if self.run.happens("duplicate") else 1):
            if not self.run.happens("drop"):
                self._deliver_later(gadget, message)
        return Receipt(Outcome.UNCONFIRMED if self.run.happens("drop") else Outcome.PUBLISHED)

    def _deliver_later(self, gadget: Gadget, message: Downlink) -> None:
        slow = self.run.happens("delay")
        after = SECOND * (self.run.chance.uniform(0.5, 6) if slow else self.run.chance.uniform(0.02, 0.2))
        sent_at = self.run.clock.at
        self.run.plan(after, f"downlink {gadget.key}", lambda: self._deliver(gadget, message, sent_at))

    def _deliver(self, gadget: Gadget, message: Downlink, sent_at: datetime) -> str:
        if not gadget.online or self.run.clock.at - sent_at >= EXPIRES:
            return "lost"
        told = json.loads(message.payload)
        self.run.checks.delivered(gadget, told, sent_at)
        for topic, payload in gadget.take(message.payload, self.run.clock.at):
            if not self.run.happens("drop"):
                self.run.bridges.hear(topic, payload, after=SECOND * self.run.chance.uniform(0.05, 2))
        return f"generation {told['generation']} {json.dumps(told['data']['kv'])}"


@dataclass
class Bridges:
    """Two processes that share the work, one of them sometimes slow: what one stamps first may be applied last (P5).

    A broker repeats what it has no PUBACK for all at once, when the bridge has come back.
    """

    run: Run
    inbox: tuple[list[Inbound], list[Inbound]] = field(default_factory=lambda: ([], []))
    planned: list[bool] = field(default_factory=lambda: [False, False])
    repeats: list[tuple[int, str, bytes]] = field(default_factory=list)

    def hear(self, topic: str, payload: bytes, *, after: timedelta = timedelta()) -> None:
        """Something is on its way to a bridge; QoS 1 loses nothing and repeats itself."""
        place = 1 if self.run.happens("reorder") else 0
        self.run.plan(after, "", lambda: self._stamp(place, topic, payload))

    def _stamp(self, place: int, topic: str, payload: bytes, *, again: bool = False) -> str:
        self.inbox[place].append(Inbound(topic, payload, False, self.run.clock.now(), again))
        if not again and self.run.happens("duplicate"):
            self._repeat_later([(place, topic, payload)], self.run.chance.uniform(0.1, 20))
        if not self.planned[place]:
            self.planned[place] = True
            wait = self.run.chance.uniform(1, 90) if place else self.run.chance.uniform(*self.run.profile.turn)
            self.run.plan(SECOND * wait, f"bridge {place}", lambda: self._turn(place))
        return ""

    def _repeat_later(self, messages: list[tuple[int, str, bytes]], seconds: float) -> None:
        if not self.repeats:
            self.run.plan(SECOND * seconds, "", self._repeat)
        self.repeats += messages

    def _repeat(self) -> str:
        messages, self.repeats = self.repeats, []
        for place, topic, payload in messages:
            self._stamp(place, topic, payload, again=True)
        return ""

    def _turn(self, place: int) -> str:
        batch, self.planned[place] = list(self.inbox[place]), False
        self.inbox[place].clear()
        now = self.run.clock.now()
        how = self.run.process(lambda: apply_batch(batch, now=now))
        if how.died:
            self._repeat_later([(place, each.topic, each.payload) for each in batch], self.run.chance.uniform(1, 5))
        for message in batch if how.committed or not how.died else ():
            self.run.checks.heard(message)
        if how.died:
            return f"{len(batch)} messages, died"
        self.run.checks.dropped(how.value.dropped)
        return f"{len(batch)} messages"
