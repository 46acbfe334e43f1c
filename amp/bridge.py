"""The bridge: takes what devices say from the broker, stores it, and acknowledges after the commit.

One transaction a batch, or two beside each other where much has come. What can't be stored because the database is away
stays unacknowledged and is tried again; the broker keeps the rest. The bridge itself ends only when it is told to.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta

from django.db import Error, connection, connections, transaction
from django.db.models import F

from amp.foundation import clock
from amp.foundation.lanes import SecondLane
from amp.foundation.scoping import system_scope
from devices.brakes import OUTAGE
from devices.models import Bridge
from devices.online_time import BrokerLife, Contact, broker_life
from devices.services.session_ends import close_sessions_of_dead_broker
from devices.services.uplinks import Applied, Inbound, apply_batch, by_device
from devices.transports.base import BrokerRefused, BrokerUnavailable, Downlink
from devices.transports.mosquitto import UPTIME_TOPIC
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_inbox import Batch, Message
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher

log = logging.getLogger(__name__)

FILTERS = ("amp/+/+/status", "amp/+/+/up/#")
BATCH = 5_000
TWO_LANES_FROM = 1_000
"""Messages from which a batch is worth two transactions: one is stored while the rules are asked about the other."""
IDLE_SECONDS = 0.5
CONNECT_SECONDS = 5.0
BEAT_SECONDS = 5.0
DEAF_SECONDS = 30.0
"""F57: connected, and yet not even the own echo comes back for so long: the connection is made anew."""
BACK_OFF_SECONDS = (0.2, 10.0)

_SLOT = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})")


class InvalidSlot(ValueError):
    """A slot is written as 2/4: the second of four bridges."""


class BridgeLoop:
    """One bridge. `run` returns when `stop` is set; the demo runs it in a thread, `manage.py bridge` as the process.

    Without `slot` it hears everything. With "2/4" it is the second of four that share the work: the names of the four
    are fixed, so that what the broker keeps for one that is away waits for its return. A fleet of bridges changes its
    size while all are stopped and their queues are empty.
    """

    def __init__(
        self,
        url: str,
        slot: str | None = None,
        stop: threading.Event | None = None,
        *,
        uptime_topic: str | None = UPTIME_TOPIC,
    ) -> None:
        self.name, filters = _subscription(slot)
        self._address = MqttAddress.parse(url)
        self._echo_topic = f"amp/bridge/{self.name}/echo"
        self._filters = (*filters, self._echo_topic)
        self._uptime_topic = uptime_topic
        self._stop = stop or threading.Event()
        self._publisher = MqttPublisher(self._address, window=1, connect_timeout=2.0)
        self._lane = SecondLane(self.name)
        self._shift = timedelta()
        self._beat_due = 0.0
        self._heard = 0.0  # monotonic: when anything last came from the broker
        self._contact = Contact()

    def run(self) -> None:
        """Listen until `stop` is set. Every failure is logged and followed by another attempt."""
        shortest, longest = BACK_OFF_SECONDS
        delay = shortest
        with system_scope(), self._lane:
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    self._listen()
                except (BrokerRefused, BrokerUnavailable) as trouble:
                    log.warning("Bridge %s: %s", self.name, trouble)
                except Error as trouble:
                    log.warning("Bridge %s: the database is away: %s", self.name, trouble)
                except Exception:
                    log.exception("Bridge %s starts anew after an error of its own.", self.name)
                connections.close_all()
                delay = shortest if time.monotonic() - started > longest else min(delay * 2, longest)
                self._stop.wait(delay)
        self._publisher.close()

    def _listen(self) -> None:
        row, _ = Bridge.objects.get_or_create(name=self.name)
        self._refresh_shift()
        stored_at = row.heard_at - self._shift if row.heard_at else None
        self._contact = Contact(row.broker_alive_at, _stored_life(row), stored_at)
        extras = [self._uptime_topic] if self._uptime_topic else []
        listener = MqttListener(
            self._address, client_id=self.name, filters=self._filters, extras=extras, stamp=clock.wall
        )
        try:
            with closing(listener.open(timeout=CONNECT_SECONDS)):
                log.info("Bridge %s listens at %s.", self.name, self._address)
                self._heard = time.monotonic()
                while not self._stop.is_set():
                    self._turn(listener)
        finally:
            self._beat(connected=False)

    def _turn(self, listener: MqttListener) -> None:
        batch = listener.next_batch(limit=BATCH, timeout=IDLE_SECONDS)
        self._refresh_shift()
        if self._contact.is_renewed(listener.connections):
            self._insist(lambda: self._meet_again(listener))
        if batch is not None:
            self._insist(lambda: self._notice_restart(batch.messages))
            parts = self._divided(batch.messages)
            self._insist(lambda: self._store(parts))
            self._acknowledge(batch)
        elif listener.connected and time.monotonic() - self._heard > DEAF_SECONDS:
            raise BrokerUnavailable("Connected, but not even the own echo comes back.")
        if time.monotonic() >= self._beat_due:
            self._beat_due = time.monotonic() + BEAT_SECONDS
            self._send_echo(listener)
            self._beat(connected=listener.connected)

    def _divided(self, messages: Sequence[Message]) -> list[list[Message]]:
        """What devices said, in as many parts as there are transactions for it."""
        ours = (self._echo_topic, self._uptime_topic)
        said = [message for message in messages if message.topic not in ours]
        lanes = 2 if len(said) >= TWO_LANES_FROM and connection.vendor == "postgresql" else 1  # SQLite has one writer
        return by_device(said, lanes)

    def _store(self, parts: list[list[Message]]) -> None:
        """Store `parts`; nothing is acknowledged before all of them are.

        One that is committed is emptied: where another failed, that alone is tried again (P2).
        """

        def store(place: int) -> None:
            self._apply(parts[place])
            parts[place] = []

        if len(parts) == 1:
            store(0)
        else:
            self._lane.beside(lambda: store(0), lambda: store(1))

    def _apply(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        inbound = [self._inbound(message) for message in messages]
        with transaction.atomic():
            applied = apply_batch(inbound, now=self._product_now(), last_contact=self._contact.lost_at)
            self._count(len(inbound), applied)
        if applied.dropped:
            log.warning("Bridge %s dropped %s", self.name, _told(applied))

    def _inbound(self, message: Message) -> Inbound:
        """The socket stamps with real time: a move of the test clock in between is no delay of the message (P5)."""
        received_at = message.received_at + self._shift
        kept_since = self._contact.kept_since(received_at)
        return Inbound(message.topic, message.payload, message.retained, received_at, message.again, kept_since)

    def _count(self, received: int, applied: Applied) -> None:
        changes: dict[str, object] = {"received": F("received") + received}
        if applied.dropped:
            changes |= {"dropped": F("dropped") + applied.dropped.total(), "last_dropped": _told(applied)[:300]}
        Bridge.objects.filter(name=self.name).update(**changes)

    def _acknowledge(self, batch: Batch) -> None:
        self._heard = time.monotonic()
        self._contact.alive_at = batch.messages[-1].received_at + self._shift
        if not batch.ack():
            log.info("Bridge %s lost its connection; the broker will send %s messages again.", self.name, len(batch))

    def _meet_again(self, listener: MqttListener) -> None:
        """After the first connection, and after each loss of contact (P4).

        Where the broker still knows our session, everything that devices said meanwhile follows, and only devices that
        show that it died (`last_contact` of `apply_batch`) lose their session. Where it doesn't, it has forgotten what
        they said: sessions end at the last sign of it, and devices that reconnect or speak open new ones. So they do
        where it knows us and yet has been restarted, which shows a moment later (`_notice_restart`).
        """
        alive_at = self._contact.alive_at
        if alive_at is not None and listener.sessions_lost > self._contact.sessions_lost:
            closed = close_sessions_of_dead_broker(alive_at=alive_at, now=self._product_now())
            self._contact.missed_something = True
            log.warning(
                "Bridge %s: the broker has lost its state; %s sessions closed at %s.", self.name, closed, alive_at
            )
        self._contact.renew(listener.connections, listener.sessions_lost, self._product_now())

    def _notice_restart(self, messages: Sequence[Message]) -> None:
        """Close what a broker left open that died and kept its state: devices that stay away tell no end (P4).

        The first word about its uptime after each connection decides. A broker that gives none is taken for the same.
        """
        words = [each for each in messages if each.topic == self._uptime_topic]
        lives = [life for each in words if (life := broker_life(each.payload, each.received_at))]
        if not lives:
            return
        if self._contact.lost_at and self._contact.meets_another(lives[0]):
            alive_at = min(self._contact.lost_at, lives[0].began_at + self._shift)
            closed = close_sessions_of_dead_broker(alive_at=alive_at, now=self._product_now())
            self._contact.missed_something = True
            log.warning("Bridge %s: the broker was restarted; %s sessions closed at %s.", self.name, closed, alive_at)
        self._contact.know(lives[-1])

    def _insist(self, work: Callable[[], None]) -> None:
        """Do `work`, again and again while the database is away; what came meanwhile waits unacknowledged (F18)."""
        delay = BACK_OFF_SECONDS[0]
        while True:
            try:
                work()
                return
            except Error as trouble:
                if self._stop.is_set():
                    raise
                log.warning("Bridge %s tries a batch again in %.1f s: %s", self.name, delay, trouble)
                connections.close_all()
                self._stop.wait(delay)
                delay = min(delay * 2, BACK_OFF_SECONDS[1])
                self._refresh_shift()

    def _send_echo(self, listener: MqttListener) -> None:
        if not listener.connected:
            return
        try:
            self._publisher.publish([Downlink(self._echo_topic, b"{}")], timeout=2.0)
        except (BrokerRefused, BrokerUnavailable) as trouble:
            log.warning("Bridge %s can't send its echo: %s", self.name, trouble)

    def _beat(self, *, connected: bool) -> None:
        """Say in the database that the bridge lives, when the broker last did, and when an outage ended (P8)."""
        contact, wall = self._contact, clock.wall()
        seen: dict[str, object] = {"broker_alive_at": contact.alive_at}
        if connected:
            seen["heard_at"] = wall + self._shift
            if contact.is_back(wall, after=OUTAGE):
                seen["recovered_at"] = wall + self._shift
        if contact.life:
            seen |= {"broker_uptime": contact.life.uptime, "broker_uptime_at": contact.life.heard_at}
        try:
            Bridge.objects.filter(name=self.name).update(beat_at=wall, connected=connected, **seen)
            if connected:
                contact.stored(wall)
        except Error as trouble:
            log.warning("Bridge %s could not store its heartbeat: %s", self.name, trouble)
            connections.close_all()

    def _product_now(self) -> datetime:
        """Product time without asking the database, which may be away."""
        return clock.wall() + self._shift

    def _refresh_shift(self) -> None:
        try:
            self._shift = clock.shift()
        except Error:
            connections.close_all()


def _subscription(slot: str | None) -> tuple[str, Sequence[str]]:
    """Name (and client id) and topic filters of one slot. Raises InvalidSlot."""
    if slot is None:
        return "amp-bridge", FILTERS
    match = _SLOT.fullmatch(slot)
    if match is None or int(match[1]) > int(match[2]):
        raise InvalidSlot("Write the slot as 2/4: the second of four bridges.")
    return f"amp-bridge-{match[1]}of{match[2]}", [f"$share/amp/{pattern}" for pattern in FILTERS]


def _stored_life(row: Bridge) -> BrokerLife | None:
    if row.broker_uptime is None or row.broker_uptime_at is None:
        return None
    return BrokerLife(row.broker_uptime, row.broker_uptime_at)


def _told(applied: Applied) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(applied.dropped.items()))
