"""The bridge as a process, between a real Mosquitto and PostgreSQL; devices are an independent MQTT client."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import paho.mqtt.client as paho
import pytest
from django.db import connections

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from devices.lifecycle import Lock
from devices.models import Bridge
from devices.online_time import Interval, union_length
from tests.stack.mosquitto import Mosquitto
from tests.stack.postgresql import PostgreSQL
from tests.stack.processes import Product
from tests.stack.waiting import eventually
from tests.talking_devices import Fleet, make_fleet

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


class Device:
    """One device over paho: password, last will, and a session counter as its firmware would have."""

    def __init__(self, mosquitto: Mosquitto, fleet: Fleet, key: str) -> None:
        self.fleet, self.key, self.mosquitto = fleet, key, mosquitto
        self.session = 0
        self.client: paho.Client | None = None

    def connect(self) -> Device:
        self.session += 1
        name = f"{self.fleet.product.key}/{self.key}"
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
        client.username_pw_set(name, self.fleet.passwords[self.key])
        client.will_set(self.fleet.topic(self.key, "status"), self.status(0), qos=1, retain=True)
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect(self.mosquitto.host, self.mosquitto.port)
        client.loop_start()
        assert connected.wait(10)
        self.client = client
        self.publish("status", self.status(1), retain=True)
        return self

    def status(self, value: int) -> str:
        return json.dumps({"value": value, "session": self.session})

    def publish(self, tail: str, payload: str | bytes, *, retain: bool = False, key: str | None = None) -> None:
        assert self.client is not None
        message = self.client.publish(self.fleet.topic(key or self.key, tail), payload, qos=1, retain=retain)
        message.wait_for_publish(10)

    def report(self, **values: str) -> None:
        body = {"ticket": "r", "type": "MATTR", "subtype": "REPORT", "data": {"kv": values}}
        self.publish("up/attr", json.dumps(body))

    def leave(self) -> None:
        self.publish("status", self.status(0), retain=True)
        self.stop()

    def vanish(self) -> None:
        """Break the connection without a goodbye: the broker publishes the last will."""
        assert self.client is not None
        self.client.socket().close()
        self.client.loop_stop()
        self.client = None

    def stop_quietly(self) -> None:
        """Stop reading and writing, without a word to the broker."""
        assert self.client is not None
        self.client.loop_stop()

    def stop(self) -> None:
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
            self.client = None


@pytest.fixture
def fleet(product_on_test_database: Product) -> Iterator[Fleet]:
    with system_scope():
        yield make_fleet(3, trial_start_seconds=3600, trial_end_seconds=7200)


@pytest.fixture
def device(mosquitto: Mosquitto, fleet: Fleet) -> Iterator[Callable[[str], Device]]:
    mosquitto.start()
    for key, password in fleet.passwords.items():
        mosquitto.add_user(f"{fleet.product.key}/{key}", password)
    mosquitto.reload()
    devices: list[Device] = []

    def make(key: str) -> Device:
        devices.append(Device(mosquitto, fleet, key))
        return devices[-1].connect()

    yield make
    for one in devices:
        one.stop()


def is_online(fleet: Fleet, key: str = "d1") -> bool:
    return fleet.presence(key).is_online


def length_of_sessions(fleet: Fleet, key: str = "d1") -> int:
    """Microseconds of the union of the closed sessions."""
    rows = fleet.sessions(key)
    return union_length([Interval(row.session, row.started_at, row.ended_at) for row in rows])


def test_a_device_comes_reports_and_vanishes(product_on_test_database: Product, fleet: Fleet, device):
    """P1, P4: the last will closes the session; the report that the device is locked is stored."""
    product_on_test_database.bridge()
    started = clock.wall()
    one = device("d1")
    eventually(lambda: is_online(fleet), what="the device online")
    one.report(service_lock="true")
    eventually(lambda: fleet.service().reported_lock == Lock.LOCKED.value, what="the lock reported")
    assert fleet.service().due_at is not None
    one.vanish()
    eventually(lambda: not is_online(fleet), what="the last will")
    [session] = fleet.sessions()
    assert started < session.started_at < session.ended_at < clock.wall()
    assert fleet.presence().counted == length_of_sessions(fleet) > 0
    assert fleet.service().due_at is None


def test_junk_and_words_about_others_are_dropped_and_counted(product_on_test_database: Product, fleet: Fleet, device):
    """F68, F69: the broker keeps a device to its own topics; what breaks the format is counted; others go on."""
    product_on_test_database.bridge()
    one, two = device("d1"), device("d2")
    eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
    before = Bridge.objects.get().dropped
    one.publish("status", one.status(0), key="d2")
    one.stop()  # the broker hangs up on who speaks for others, sooner or later: go on with a new connection
    one.connect()
    for junk in (b"\xff", b"[" * 40_000, b"x" * 70_000, b"{}", b'{"deviceKey": "d2", "type": "MATTR"}'):
        one.publish("up/attr", junk)
    one.publish("up/other", b"{}")
    two.report(service_lock="false")
    eventually(lambda: fleet.service("d2").reported_lock == Lock.UNLOCKED.value, what="the other device's report")
    eventually(lambda: Bridge.objects.get().dropped == before + 6, what="six refusals")
    assert Bridge.objects.get().last_dropped
    assert is_online(fleet, "d2")


def test_nothing_is_lost_or_doubled_when_the_bridge_is_killed_in_the_middle(
    product_on_test_database: Product, fleet: Fleet, device
):
    """F02, F57, P2: 200 sessions are told while the bridge is killed three times; each is stored exactly once."""
    bridge = product_on_test_database.bridge()
    started = clock.wall()
    one = device("d1")
    for number in range(2, 201):
        one.publish("status", one.status(0))
        one.session = number
        one.publish("status", one.status(1))
        one.report()
        if number in (50, 100, 150):
            bridge.kill()
        if number in (60, 110, 160):
            bridge.start()
    one.publish("status", one.status(0))
    eventually(
        lambda: (not is_online(fleet)) and len(fleet.sessions()) >= 200, within=30, what="all 200 sessions closed"
    )
    named = [row.session for row in fleet.sessions()]
    assert sorted(named, key=int) == [str(number) for number in range(1, 201)]
    assert fleet.presence().counted == length_of_sessions(fleet)
    assert fleet.presence().counted < (clock.wall() - started).total_seconds() * 1_000_000


def test_what_devices_say_while_the_bridge_is_stopped_waits_for_it(
    product_on_test_database: Product, fleet: Fleet, device
):
    bridge = product_on_test_database.bridge()
    one = device("d1")
    device("d2")
    eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
    bridge.stop()
    assert bridge.process.returncode == 0
    one.leave()
    three = device("d3")
    bridge.start()
    eventually(lambda: not is_online(fleet, "d1") and is_online(fleet, "d3"), what="the news of the pause")
    assert is_online(fleet, "d2")
    three.leave()
    eventually(lambda: not is_online(fleet, "d3"), what="the goodbye")


def test_the_bridge_waits_for_a_database_that_is_away(
    product_on_test_database: Product, postgresql_server: PostgreSQL, fleet: Fleet, device
):
    """F18: messages stay unacknowledged at the broker and are stored when the database is back."""
    product_on_test_database.bridge()
    connections.close_all()
    postgresql_server.kill()
    one = device("d1")
    one.report(service_lock="true")
    postgresql_server.start()
    connections.close_all()
    eventually(lambda: is_online(fleet), within=20, what="the device online")
    eventually(lambda: fleet.service().reported_lock == Lock.LOCKED.value, what="the report")


def test_sessions_close_when_the_broker_died_not_when_it_came_back(
    product_on_test_database: Product, fleet: Fleet, mosquitto: Mosquitto, device
):
    """P4: with its state lost the broker can't tell what happened; the outage isn't online time."""
    product_on_test_database.bridge()
    one, two = device("d1"), device("d2")
    eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
    one.stop_quietly()
    two.stop_quietly()
    mosquitto.kill()
    died = clock.wall()
    mosquitto.lose_state()
    mosquitto.start()
    eventually(lambda: not is_online(fleet, "d1") and not is_online(fleet, "d2"), within=30, what="sessions closed")
    assert all(row.ended_at <= died and row.estimated for row in fleet.sessions("d1"))
    one.connect()
    eventually(lambda: is_online(fleet, "d1"), what="the device back")


def test_two_bridges_share_the_work(product_on_test_database: Product, fleet: Fleet, device):
    product_on_test_database.bridge("--slot", "1/2")
    product_on_test_database.bridge("--slot", "2/2")
    devices = [device(key) for key in fleet.ids]
    eventually(lambda: all(is_online(fleet, key) for key in fleet.ids), what="all online")
    for _ in range(20):
        for one in devices:
            one.report()
    eventually(lambda: sum(Bridge.objects.values_list("received", flat=True)) >= 63, what="all messages")
    assert set(Bridge.objects.values_list("name", flat=True)) == {"amp-bridge-1of2", "amp-bridge-2of2"}
    assert all(Bridge.objects.values_list("received", flat=True))


def test_the_bridge_shows_that_it_and_the_broker_live(product_on_test_database: Product, fleet: Fleet):
    """F57: the broker counts as alive when the bridge's own echo came back."""
    product_on_test_database.bridge()
    row = eventually(
        lambda: Bridge.objects.filter(connected=True, broker_alive_at__isnull=False).first(),
        within=20,
        what="a heartbeat with an echo",
    )
    assert row.beat_at is not None
    eventually(lambda: Bridge.objects.get().broker_alive_at > row.broker_alive_at, within=20, what="the next echo")


def test_a_slot_is_written_as_two_of_four(product_on_test_database: Product):
    refused = product_on_test_database.manage("bridge", "--slot", "3/2", check=False)
    assert refused.returncode == 1
    assert "Write the slot as 2/4" in refused.stderr
