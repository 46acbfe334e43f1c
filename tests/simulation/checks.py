"""What is looked at after every step: only what the step touched; everything, now and then and at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from amp.foundation.models import Event
from billing.models import Order, OrderLine, SandboxTrade
from devices.models import Command, DeviceService, Period
from devices.services.uplinks import Inbound
from tests.simulation.brake import Brake
from tests.simulation.clockwork import SECOND
from tests.simulation.gadgets import DAYS, NOTICE, Gadget
from tests.simulation.model import DAY, Service
from tests.simulation.traces import Found

if TYPE_CHECKING:
    from tests.simulation.run import Run

FINAL = {"CONFIRMED", "FAILED", "STALE", "CANCELLED", "SUPERSEDED"}
EVENT = ("id", "kind", "subject", "why", "after", "happened_at", "noticed_at")
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
        self.brake = Brake(len(self.run.gadgets))

    def delivered(self, gadget: Gadget, told: dict[str, Any], sent_at: datetime) -> None:
        """A message reached a device: none is older than one that reached it before (R3), and notices are true (N4)."""
        generation, values = int(told["generation"]), told["data"]["kv"]
        self.touched.add(gadget.device_id)
        if NOTICE in values:
            return self._announced(gadget, told["ticket"], DAYS[values[NOTICE]["serviceStatus"]], sent_at)
        newest = max((each[2] for each in gadget.heard if "service_lock" in each[3]), default=0)
        if generation < newest and sent_at - self.run.stepped_at > 10 * SECOND:
            raise Found("no_older_after_newer", f"{gadget.key} got {generation} after {newest}")
        if values.get("service_lock") == "true" and not self.brake.lets(gadget.device_id):
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

    def after_step(self) -> list[tuple[Any, ...]]:
        """Look at what happened since the last step; the new events, for the trace."""
        events = list(Event.objects.filter(pk__gt=self.events).order_by("pk").values_list(*EVENT))
        for event in events:
            self.events = event[0]
            if event[2].startswith("device:"):
                pk = int(event[2].removeprefix("device:"))
                self.touched.add(pk)
                if event[1].startswith("device_service.") and event[4] and "state" in event[4]:
                    self._follow(pk, *event[1:])
        for task, began in self.due:
            self._done(task, began)
        self.due.clear()
        if self.touched:
            self._rows(sorted(self.touched))
            self.touched.clear()
        return [(*event[:4], _without_ticket(event[4]), *event[5:]) for event in events]

    def _follow(
        self, pk: int, kind: str, subject: str, why: str, after: dict[str, Any], at: datetime, noticed_at: datetime
    ) -> None:
        """One change of state on the record is the one that the model expects next."""
        service = self.services[pk]
        if kind == "device_service.terminated":
            service.terminate(at)
            self.run.by_id[pk].online = False
            return
        was_young = service.state in {"PENDING", "TRIAL"}
        if why.startswith("paid line:"):
            self._paid(pk, service, int(why.removeprefix("paid line:")), noticed_at)
        elif service.uncertain and was_young:
            service.adopt(after["state"], at)
        elif not service.look(noticed_at):
            raise Found("nothing_happens_before_it_is_due", f"{subject} {kind} at {at}, due {service.due_at()}")
        if service.state == "EXPIRED":
            self.brake.lock(pk, noticed_at)
        expected = (service.state, service.ends_at.isoformat() if service.ends_at else None)
        if expected != (after["state"], after["ends_at"]):
            raise Found("state_as_the_spec_says", f"{subject} {kind}: {after}, the spec says {expected}")
        if at != service.last_at and not (service.uncertain and was_young):
            raise Found("dated_as_the_spec_says", f"{subject} {kind} at {at}, the spec says {service.last_at}")

    def _paid(self, pk: int, service: Service, line_id: int, now: datetime) -> None:
        """A renewal stands for a paid trade in the gateway's books, and begins and ends as the spec says (A14–A16)."""
        line = OrderLine.objects.select_related("order").get(pk=line_id)
        numbers = line.order.attempts.filter(settles=True).values_list("number", "amount")
        trades = [
            trade
            for number, amount in numbers
            for trade in SandboxTrade.objects.filter(number=number, status="PAID", amount=amount)
        ]
        if line.device_id != pk or len(trades) != 1:
            raise Found("a_renewal_is_paid_for", f"device {pk}, line {line_id}: {len(trades)} trades")
        paid_at = trades[0].paid_at if self.run.never_stepped else line.order.paid_at
        assert paid_at is not None
        due = service.due_at()
        if due and due <= min(paid_at, now) and not service.uncertain:
            raise Found("due_before_paid", f"device {pk} was due {due}, paid {paid_at}")
        total, months = self.run.people.sold.get(line.order_id, (line.order.total, line.order.months))
        if line.order.total != total:
            raise Found("sold_as_it_was_offered", f"order {line.order_id} costs {line.order.total}, should be {total}")
        starts, ends = service.pay(paid_at=paid_at, months=months, now=now)
        period = Period.objects.get(source=f"line:{line_id}")
        if (period.starts_at, period.ends_at) != (starts, ends):
            found = f"{period.starts_at} to {period.ends_at}"
            raise Found("periods_as_the_spec_says", f"device {pk}: {found}, the spec says {starts} to {ends}")

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
        commands: dict[int, list[tuple[Any, ...]]] = {pk: [] for pk in ids}
        found = Command.objects.filter(device_id__in=ids, slot="LOCK").order_by("generation")
        for row in found.values_list("id", "device_id", "kind", "status", "generation"):
            commands[row[1]].append(row)
            self._final(row[0], row[3])
        services = DeviceService.objects.filter(pk__in=ids).order_by("pk")
        for pk, state, wanted, generation in services.values_list("pk", "state", "desired_lock", "generation"):
            model, own = self.services[pk], commands[pk]
            if state != model.state:
                raise Found("state_as_the_spec_says", f"device {pk} is {state}, the spec says {model.state}")
            if generation < self.generations.get(pk, 0):
                raise Found("generation_never_goes_down", f"device {pk}")
            self.generations[pk] = generation
            if model.wants_lock is not None and (wanted == "LOCKED") != model.wants_lock:
                raise Found("lock_as_the_spec_says", f"device {pk} is {state} and wants {wanted}")
            newest = (own[-1][2], own[-1][4]) if own else None
            if model.wants_lock is not None and newest != ("LOCK" if model.wants_lock else "UNLOCK", generation):
                raise Found("the_newest_command_says_it", f"device {pk} wants {wanted} by {generation}: {newest}")

    def _final(self, pk: int, status: str) -> None:
        known = self.final.get(pk)
        if known and known != status:
            raise Found("what_is_over_stays_over", f"command {pk} was {known}, is {status}")
        if status in FINAL:
            self.final[pk] = status


def _without_ticket(after: dict[str, Any] | None) -> dict[str, Any]:
    """A command is known by its device and generation."""
    return {name: value for name, value in (after or {}).items() if name != "ticket"}


def orders_in_their_books(run: Run) -> Iterator[tuple[str, str]]:
    """Every order ended as the gateway's own books say; read from its trades, not from our payments (R1, R2)."""
    trades = {each.number: each for each in SandboxTrade.objects.order_by("pk")}
    for order in Order.objects.order_by("pk").prefetch_related("attempts", "lines"):
        own = [(each, trades[each.number]) for each in order.attempts.all() if each.number in trades]
        right = [trade for each, trade in own if trade.status == "PAID" and trade.amount == each.amount]
        periods = Period.objects.filter(source__in=[f"line:{line.pk}" for line in order.lines.all()]).count()
        gone = sum(line.status == "UNAPPLIED" for line in order.lines.all())
        if right and periods + gone != len(order.lines.all()):
            yield "what_is_paid_is_applied", f"order {order.pk} is {order.status}: {periods} periods, {gone} unapplied"
        if not right and periods:
            yield "a_renewal_is_paid_for", f"order {order.pk} has {periods} periods and no right payment"
        if gone and not any(run.checks.services[line.device_id].state == "TERMINATED" for line in order.lines.all()):
            yield "what_is_paid_is_applied", f"order {order.pk} has {gone} unapplied lines"
        received = sum(each.received for each in order.attempts.all())
        paid = sum(trade.amount + trade.second_amount for _each, trade in own if trade.status == "PAID")
        untold = sum(trade.second_amount for each, trade in own if each.number in run.people.half_told)
        if received not in {paid, paid - untold}:
            yield "money_in_is_counted_once", f"order {order.pk} received {received}, the gateway says {paid}"
