"""The demo's past, played through the services that make the present: messages, sweeps, payments, commands, answers.

Deeds are written down first, each with its moment; `play` then lets time pass, from one moment that matters to the
next, and hands every service the `now` of that moment.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson
from django.db.models import Min

from amp.demo import payments
from amp.demo.organisation import ACTOR
from amp.foundation.models import User
from billing.services.fulfilment import fulfil_paid_orders
from catalog.models import Plan
from devices.delivery import CommandStatus
from devices.models import Command, Device, DeviceService
from devices.services.dispatch import close_stale, close_unanswered, dispatch_commands
from devices.services.lifecycle import CHUNK, advance_due_services
from devices.services.registration import terminate_device
from devices.services.uplinks import Inbound, apply_batch
from devices.transports.base import Downlink
from devices.transports.recorded import RecordedTransport

TOGETHER = timedelta(minutes=2)
"""What happens within this is done in one step: the past has hundreds of steps, not thousands."""
LATEST = timedelta(days=6)
"""Messages wait at most this long to be applied; beyond 7 days they would be refused (P5)."""
ANSWER = timedelta(seconds=1)
KEEPALIVE = 60


class Address(NamedTuple):
    """Where a device speaks and listens."""

    device_id: int
    product_key: str
    key: str

    def topic(self, tail: str) -> str:
        """One of its topics."""
        return f"amp/{self.product_key}/{self.key}/{tail}"


class _Said(NamedTuple):
    """A device comes online or goes offline."""

    device: Address
    online: bool


Deed = Callable[[datetime], None]


class History:
    """The deeds of all devices. `wall` is real time, for signatures; `progress` is told how far the play has come."""

    def __init__(self, *, wall: datetime, progress: Callable[[float], None] = lambda _part: None) -> None:
        self._wall = wall
        self._progress = progress
        self._said: list[tuple[datetime, int, _Said]] = []
        self._deeds: list[tuple[datetime, int, Deed]] = []
        self._watched: list[datetime] = []
        self._order = itertools.count()
        self._locked: dict[str, str] = {}
        self._addresses: dict[str, Address] = {}
        self._online: set[str] = set()
        self._transport = RecordedTransport()

    def session(self, device: Address, start: datetime, end: datetime, *, watched: bool = False) -> None:
        """The device is online from `start` to `end`; `watched` where its first minutes matter (a short trial)."""
        self._addresses[device.topic("down/attr")] = device
        heapq.heappush(self._said, (start, next(self._order), _Said(device, True)))
        heapq.heappush(self._said, (end, next(self._order), _Said(device, False)))
        if watched:
            heapq.heappush(self._watched, start)

    def purchase(self, devices: Sequence[Address], plan: Plan, at: datetime, *, staff: User | None = None) -> None:
        """Somebody orders and pays."""
        ids = [device.device_id for device in devices]

        def pay(now: datetime) -> None:
            order = payments.order_devices(ids, plan, staff=staff, now=now)
            payments.pay_order(order, now=now, wall=self._wall)

        self._do(at, pay)

    def change_of_mind(self, device: Address, plan: Plan, at: datetime, *, staff: User) -> None:
        """Staff order, and cancel before anybody pays."""

        def order_and_cancel(now: datetime) -> None:
            order = payments.order_devices([device.device_id], plan, staff=staff, now=now)
            payments.give_up(order, actor=staff.email, now=now + ANSWER)

        self._do(at, order_and_cancel)

    def loss(self, devices: Sequence[Address], plan: Plan, at: datetime, *, staff: User) -> None:
        """An order is paid, and its first device is terminated before it is fulfilled: its money waits for a person."""

        def pay_and_lose(now: datetime) -> None:
            order = payments.order_devices([each.device_id for each in devices], plan, staff=staff, now=now)
            terminate_device(device=Device.objects.get(pk=devices[0].device_id), actor=staff.email, now=now)
            payments.pay_order(order, now=now, wall=self._wall)

        self._do(at, pay_and_lose)

    def termination(self, device: Address, at: datetime) -> None:
        """The device is taken out of service for good."""

        def end(now: datetime) -> None:
            terminate_device(device=Device.objects.get(pk=device.device_id), actor=ACTOR, now=now)

        self._do(at, end)

    def play(self, *, since: datetime, until: datetime) -> int:
        """Let time pass; number of steps."""
        now, steps = since, 0
        while (moment := self._next(until)) is not None:
            now = min(max(moment + TOGETHER, now + ANSWER), until)
            self._step(now)
            steps += 1
            self._progress((now - since) / (until - since))
            if now >= until:
                break
        self._step(until)
        return steps + 1

    def _do(self, at: datetime, deed: Deed) -> None:
        heapq.heappush(self._deeds, (at, next(self._order), deed))

    def _next(self, until: datetime) -> datetime | None:
        """The next moment that matters: a deed, a service or a command that is due, messages to apply."""
        due = DeviceService.objects.filter(due_at__lt=until).aggregate(at=Min("due_at"))["at"]
        waiting = Command.objects.filter(status=CommandStatus.PENDING.value, hold=None, stale_at__lt=until)
        moments = [
            due,
            waiting.aggregate(at=Min("stale_at"))["at"],
            self._deeds[0][0] if self._deeds else None,
            self._watched[0] if self._watched else None,
            self._said[0][0] + LATEST if self._said else None,
        ]
        return min((moment for moment in moments if moment and moment < until), default=None)

    def _step(self, now: datetime) -> None:
        self._apply(self._heard(now), now)
        while self._watched and self._watched[0] <= now:
            heapq.heappop(self._watched)
        while advance_due_services(now=now).found >= CHUNK:
            pass
        if self._deeds and self._deeds[0][0] <= now:
            self._do_due(now)
        if Command.objects.filter(due_at__lte=now).exists():
            self._exchange(now)
        close_stale(now=now)

    def _do_due(self, now: datetime) -> None:
        while self._deeds and self._deeds[0][0] <= now:
            heapq.heappop(self._deeds)[2](now)
        fulfil_paid_orders(now=now, limit=1_000)

    def _heard(self, now: datetime) -> list[Inbound]:
        heard: list[Inbound] = []
        while self._said and self._said[0][0] <= now:
            at, number, said = heapq.heappop(self._said)
            device, session = said.device, f"h{number if said.online else number - 1}"
            status = {"value": int(said.online), "session": session, "keepalive": KEEPALIVE}
            heard.append(Inbound(device.topic("status"), orjson.dumps(status), False, at))
            topic = device.topic("down/attr")
            if said.online:
                self._online.add(topic)
                heard.append(self._report(device, at))
            else:
                self._online.discard(topic)
        return heard

    def _exchange(self, now: datetime) -> None:
        """Send what is due; devices that are online obey, the others hear nothing."""
        close_unanswered(now=now)
        self._transport.published.clear()
        dispatch_commands(now=now, transport=self._transport)
        heard = [message for sent in self._transport.published for message in self._obeyed(sent, now + ANSWER)]
        self._apply(heard, now + ANSWER)

    def _obeyed(self, sent: Downlink, at: datetime) -> list[Inbound]:
        if sent.topic not in self._online:
            return []
        device, command = self._addresses[sent.topic], json.loads(sent.payload)
        self._locked[sent.topic] = command["data"]["kv"]["service_lock"]
        ack = orjson.dumps({"ticket": command["ticket"], "status": "succ"})
        return [Inbound(device.topic("up/ack"), ack, False, at), self._report(device, at)]

    def _report(self, device: Address, at: datetime) -> Inbound:
        locked = self._locked.get(device.topic("down/attr"), "false")
        body = {"ticket": "history", "type": "MATTR", "subtype": "REPORT", "data": {"kv": {"service_lock": locked}}}
        return Inbound(device.topic("up/attr"), orjson.dumps(body), False, at)

    @staticmethod
    def _apply(heard: list[Inbound], now: datetime) -> None:
        if heard:
            dropped = apply_batch(heard, now=now).dropped
            if dropped:
                raise RuntimeError(f"The demo's past was refused: {dict(dropped)}")
