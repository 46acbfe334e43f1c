"""What must come of money that goes back, from the spec alone (6-payments, Q2, A14); written from nothing of ours.

A refund gives back some of what order lines cost, or money that no line used. Above a threshold another person approves
it, refunds of one payment count together (F44). Only the gateway's word ends it, and only then does it do what was
wished to the devices: they keep their time, lose what the amount had bought of it, or stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.simulation.clockwork import SECOND
from tests.simulation.model import DAY, Service
from tests.simulation.reading import Event
from tests.simulation.traces import Found

NOTHING = timedelta()
SYSTEM = "system"
"""In its name a refund is only proposed."""


@dataclass
class Line:
    """What one device was renewed for; `spared`: its rest was moved away, or the device began another life since."""

    order: int
    device: int
    amount: int
    starts_at: datetime
    ends_at: datetime
    refunded: int = 0
    taken: timedelta = NOTHING
    spared: bool = False

    def unused(self, service: Service, now: datetime) -> timedelta:
        """What of its time lies ahead and wasn't taken back."""
        if self.spared or service.state != "ACTIVE" or service.ends_at is None:
            return NOTHING
        ahead = self.ends_at - max(now, self.starts_at) - self.taken
        return max(NOTHING, min(ahead, service.ends_at - now))


@dataclass(frozen=True)
class Wish:
    """What a person asks for; `amount` None is all that is left of `lines`, `days` a person's own number."""

    effect: str
    amount: int | None
    lines: tuple[int, ...]
    days: int | None
    once_key: str


@dataclass
class Part:
    """Of one line: what is given back, and the least and most time that goes with it; None where all that is left."""

    amount: int
    least: timedelta | None
    most: timedelta | None
    is_taken: bool = False


@dataclass
class Refund:
    """One refund as the record tells it."""

    number: str
    order: int
    payment: str
    amount: int
    asked_by: str
    needs_two: bool
    parts: dict[int, Part]
    status: str = "REQUESTED"
    succeeded_at: datetime | None = None


@dataclass
class Money:
    """`lines` are the order lines that were applied; `wishes` what was last asked of each order."""

    threshold: int
    services: dict[int, Service]
    lines: dict[int, Line] = field(default_factory=dict)
    wishes: dict[int, Wish] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    def of_device(self, device: int) -> list[Line]:
        """What this device was renewed for."""
        return [line for line in self.lines.values() if line.device == device]

    def ask(self, event: Event, payment: str, parts: Sequence[tuple[int, int, int]]) -> None:
        """Somebody asked; `parts` are line, what of it is given back, and what it cost."""
        told = event.after
        order, number, amount = int(event.subject.removeprefix("order:")), told["refund"], told["amount"]
        wish = self.wishes.get(order) if event.actor != SYSTEM else None
        own = [each for each in self.refunds.values() if each.payment == payment and each.status != "FAILED"]
        needs_two = sum(each.amount for each in own) + amount > self.threshold
        refund = Refund(number, order, payment, amount, event.actor, needs_two, {})
        if wish and parts:
            self._is_as_wished(refund, wish, parts)
            for line, part, _cost in parts:
                refund.parts[line] = self._part(line, part, wish, event.noticed_at)
        for line, part, cost in parts:
            self._count(line, part)
            if (known := self.lines.get(line)) and known.refunded > cost:
                raise Found("no_more_back_than_was_paid", f"line {line}: {known.refunded} of {cost}")
        self.refunds[number] = refund

    def _is_as_wished(self, refund: Refund, wish: Wish, parts: Sequence[tuple[int, int, int]]) -> None:
        left = sum(cost - self._refunded(line) for line, _part, cost in parts)
        expected = left if wish.amount is None else wish.amount
        given = sum(part for _line, part, _cost in parts)
        if not (given == refund.amount == expected) or {line for line, *_ in parts} - set(wish.lines):
            raise Found("a_refund_is_as_it_was_asked_for", f"{refund.number}: {refund.amount}, {parts}, asked {wish}")

    def _part(self, line_id: int, amount: int, wish: Wish, now: datetime) -> Part:
        """Pro rata, to within what the smallest unit of money buys (F39); who gets all back keeps none of it."""
        line = self.lines.get(line_id)
        if line is None or wish.effect == "KEEP":
            return Part(amount, NOTHING, NOTHING)
        if wish.effect == "STOP":
            return Part(amount, None, None)
        if wish.days is not None:
            return Part(amount, wish.days * DAY, wish.days * DAY)
        unused, length = line.unused(self.services[line.device], now), line.ends_at - line.starts_at
        bought = length * amount / line.amount
        all_back = line.refunded + amount >= line.amount
        most = unused if all_back else min(unused, bought + length / line.amount)
        return Part(amount, max(NOTHING, min(unused, bought) - SECOND), most + SECOND)

    def approve(self, event: Event) -> None:
        """Who asked can't approve what needs two."""
        refund = self._step(event, "REQUESTED", "APPROVED")
        if refund.asked_by == SYSTEM or (refund.needs_two and refund.asked_by == event.actor):
            raise Found("two_people_give_back_much", f"{refund.amount} asked and approved by {event.actor}")

    def take_up(self, event: Event) -> None:
        """Somebody makes a proposal of the system their own; it may have grown, and others with it."""
        refund = self.refunds[event.after["refund"]]
        refund.amount, refund.asked_by = event.after["amount"], event.actor
        own = [each for each in self.refunds.values() if each.payment == refund.payment and each.status != "FAILED"]
        refund.needs_two = sum(each.amount for each in own) > self.threshold

    def send(self, event: Event) -> None:
        """It is at the gateway."""
        self._step(event, "APPROVED", "PROCESSING")

    def fail(self, event: Event) -> None:
        """Rejected, or the gateway can't: all that was counted for it is free again."""
        refund = self._step(event, "REQUESTED" if event.kind == "refund.rejected" else "PROCESSING", "FAILED")
        for line, part in refund.parts.items():
            self._count(line, -part.amount)

    def succeed(self, event: Event, paid_back: Sequence[tuple[int, str]]) -> None:
        """The money is back, as the gateway's own books say: once, and all of it."""
        refund = self._step(event, "PROCESSING", "SUCCEEDED")
        refund.succeeded_at = event.noticed_at
        if list(paid_back) != [(event.after["amount"], "SUCCEEDED")]:
            raise Found("only_the_gateways_word_ends_a_refund", f"{refund.number}: the gateway's books say {paid_back}")

    def shorten(self, event: Event, service: Service, device: int) -> None:
        """A refund took time from a device: once it has succeeded, once, and as much as was wished."""
        refund = self.refunds[event.why.removeprefix("refund ")]
        told = f"device {device}, refund {refund.number} that is {refund.status}"
        found = [(line, part) for line, part in refund.parts.items() if self._device(line) == device]
        if refund.status != "SUCCEEDED" or not found or found[0][1].is_taken:
            raise Found("a_refund_takes_time_once_money_is_back", told)
        line, part = self.lines[found[0][0]], found[0][1]
        ends_at, now = datetime.fromisoformat(event.after["ends_at"]), max(event.noticed_at, service.last_at)
        before = service.ends_at
        if line.spared or service.state != "ACTIVE" or before is None or part.most == NOTHING:
            raise Found("a_refund_spares_what_it_has_not_paid", f"{told}: {service.state}, {part}")
        earliest, latest = (max(now, now if each is None else before - each) for each in (part.most, part.least))
        if not earliest <= ends_at <= latest:
            raise Found("a_refund_takes_what_it_pays", f"{told}: ends {ends_at}, should be {earliest} to {latest}")
        part.is_taken, line.taken = True, line.taken + (before - ends_at)
        service.shorten(ends_at, now=event.noticed_at)

    def untaken(self) -> list[tuple[Refund, int]]:
        """Refunds whose devices ran on what was paid back, and still have all of it."""
        return [
            (refund, line)
            for refund in self.refunds.values()
            for line, part in refund.parts.items()
            if refund.succeeded_at and not part.is_taken and (part.least is None or part.least > NOTHING)
            if not self.lines[line].spared and self.services[self.lines[line].device].has_run_since(refund.succeeded_at)
        ]

    def _step(self, event: Event, before: str, after: str) -> Refund:
        refund = self.refunds[event.after["refund"]]
        if refund.status != before:
            raise Found("a_refund_goes_its_way", f"{refund.number} is {refund.status}, and then {event.kind}")
        refund.status = after
        return refund

    def _device(self, line: int) -> int | None:
        return self.lines[line].device if line in self.lines else None

    def _refunded(self, line: int) -> int:
        return self.lines[line].refunded if line in self.lines else 0

    def _count(self, line: int, amount: int) -> None:
        if line in self.lines:
            self.lines[line].refunded += amount
