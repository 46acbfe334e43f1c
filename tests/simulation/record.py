"""The record, followed event by event: each change is the one that the spec has next (R9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tests.simulation.model import Service
from tests.simulation.money import Line
from tests.simulation.moves import Moves
from tests.simulation.reading import PAID_BACK, REFUNDS, Event, PaidLine, paid_lines, pots, rows
from tests.simulation.traces import Found

if TYPE_CHECKING:
    from tests.simulation.checks import Checks

PAID = "paid line:"
RULE = "rule.saved"
BY_PEOPLE = {"device_service.restarted", "device_service.transferred_out", "device_service.transferred_in"}
"""No brake counts what a person has done to one device (P8)."""


@dataclass
class Record:
    """Tells the model, and compares what it says with the event."""

    checks: Checks
    paid: dict[int, PaidLine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = self.checks.services
        self.moves = Moves(self.services, self.checks.money)
        self.told: dict[str, Callable[[Event, int], None]] = {
            "device_service.terminated": self._terminated,
            "device_service.shortened": lambda event, pk: self.checks.money.shorten(event, self.services[pk], pk),
            "device_service.restarted": self.moves.restart,
            "device_service.transferred_out": self.moves.transfer,
            "device_service.transferred_in": self.moves.transfer,
        }

    def follow(self, events: Sequence[Event]) -> set[int]:
        """The events of one step; the devices that they are about."""
        self.paid = paid_lines([int(each.why.removeprefix(PAID)) for each in events if each.why.startswith(PAID)])
        touched, orders = set(), set()
        for event in events:
            head, _, pk = event.subject.partition(":")
            if head == "device":
                touched.add(int(pk))
                if event.kind.startswith("device_service.") and "state" in event.after:
                    self._follow(int(pk), event)
            elif head == "order":
                orders.add(int(pk))
                self._refunded(event)
        self._money_lies_somewhere(orders)
        self.moves.is_done()
        for event in events:  # whoever came between its statements knew only the rule before
            if event.kind == RULE:
                self._rule_saved(event)
        return touched

    def _rule_saved(self, event: Event) -> None:
        rule, now = self.checks.rule, event.noticed_at
        was_on = rule.on
        rule.save(event)
        for pk, service in self.services.items():
            if service.state == "TERMINATED" or rule.on == was_on:
                continue
            if not rule.on:
                service.freeze(now)
            elif service.thaw(now):
                self.checks.brake(pk).lock(pk, now)

    def _follow(self, pk: int, event: Event) -> None:
        """One change of state on the record is the one that the model expects next."""
        service, after, at = self.services[pk], event.after, event.happened_at
        is_known = not (service.uncertain and service.state in {"PENDING", "TRIAL"})
        self.told.get(event.kind, self._went_on)(event, pk)
        if event.kind in BY_PEOPLE:
            self.checks.brake(pk).excuse(pk)
        elif service.state == "EXPIRED":
            self.checks.brake(pk).lock(pk, event.noticed_at)
        expected = (service.state, service.ends_at.isoformat() if service.ends_at else None)
        if expected != (after["state"], after["ends_at"]):
            raise Found("state_as_the_spec_says", f"{event.subject} {event.kind}: {after}, the spec says {expected}")
        if is_known and at != service.last_at:
            told = f"{event.subject} {event.kind} at {at}, the spec says {service.last_at}"
            raise Found("dated_as_the_spec_says", told)

    def _went_on(self, event: Event, pk: int) -> None:
        """By what was paid, or by itself."""
        service = self.services[pk]
        if event.why.startswith(PAID):
            self._paid(pk, service, self.paid[int(event.why.removeprefix(PAID))], event.noticed_at)
        elif service.uncertain and service.state in {"PENDING", "TRIAL"}:
            service.adopt(event.after["state"], event.happened_at, event.noticed_at)
        elif not service.look(event.noticed_at):
            told = f"{event.subject} {event.kind} at {event.happened_at}, due {service.due_at()}"
            raise Found("nothing_happens_before_it_is_due", told)

    def _terminated(self, event: Event, pk: int) -> None:
        self.services[pk].terminate(event.happened_at)
        self.checks.run.by_id[pk].online = False

    def _paid(self, pk: int, service: Service, line: PaidLine, now: datetime) -> None:
        """A renewal stands for a paid trade in the gateway's books, and begins and ends as the spec says (A14–A16)."""
        if line.device_id != pk or line.trades != 1:
            raise Found("a_renewal_is_paid_for", f"device {pk}, line {line.id}: {line.trades} trades")
        paid_at = line.paid_at if self.checks.run.never_stepped else line.order_paid_at
        assert paid_at is not None
        due = service.due_at()
        if due and due <= min(paid_at, now) and not service.uncertain:
            raise Found("due_before_paid", f"device {pk} was due {due}, paid {paid_at}")
        total, months = self.checks.run.people.sold.get(line.order_id, (line.total, line.months))
        if line.total != total:
            raise Found("sold_as_it_was_offered", f"order {line.order_id} costs {line.total}, should be {total}")
        starts, ends = service.pay(paid_at=paid_at, months=months, now=now)
        if (line.starts_at, line.ends_at) != (starts, ends):
            found = f"{line.starts_at} to {line.ends_at}"
            raise Found("periods_as_the_spec_says", f"device {pk}: {found}, the spec says {starts} to {ends}")
        self.checks.money.lines[line.id] = Line(line.order_id, pk, total // line.line_count, starts, ends)

    def _refunded(self, event: Event) -> None:
        """Money goes back step by step."""
        match event.kind:
            case "refund.requested":
                found = rows(REFUNDS, [event.after["refund"]])
                parts = [(line, part, cost) for _number, _payment, has_lines, line, part, cost in found if has_lines]
                self.checks.money.ask(event, found[0][1], parts)
            case "refund.taken_up":
                self.checks.money.take_up(event)
            case "refund.approved":
                self.checks.money.approve(event)
            case "refund.sent":
                self.checks.money.send(event)
            case "refund.failed" | "refund.rejected":
                self.checks.money.fail(event)
            case "order.refunded":
                self.checks.money.succeed(event, rows(PAID_BACK, event.after["refund"]))

    def _money_lies_somewhere(self, orders: set[int]) -> None:
        """Received = applied + unapplied + refunded + queued, none below zero; no more refunded than paid back (R1)."""
        for each in pots(orders):
            known = (each.applied, each.unapplied, each.refunded, each.queued)
            if each.received != sum(known) or min(known) < 0:
                raise Found("money_in_is_accounted_for", str(each))
            if each.refunded > each.paid_back:
                raise Found("money_back_is_counted_once", str(each))
