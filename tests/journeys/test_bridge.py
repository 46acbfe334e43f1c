"""The bridge as a process, between a real Mosquitto and PostgreSQL; devices are an independent MQTT client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db import connections

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from devices.lifecycle import Lock
from devices.models import Bridge
from devices.online_time import Interval, union_length
from devices.transports.mosquitto import UPTIME_TOPIC
from tests.independent_device import IndependentDevice
from tests.stack.mosquitto import Mosquitto
from tests.stack.postgresql import PostgreSQL
from tests.stack.processes import Product
from tests.stack.waiting import eventually
from tests.talking_devices import Fleet, make_fleet

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def fleet(product_on_test_database: Product) -> Iterator[Fleet]:
    with system_scope():
        yield make_fleet(3, trial_start_seconds=3600, trial_end_seconds=7200)


@pytest.fixture
def device(mosquitto: Mosquitto, fleet: Fleet) -> Iterator[Callable[[str], IndependentDevice]]:
    mosquitto.start()
    for key, password in fleet.passwords.items():
        mosquitto.add_user(f"{fleet.product.key}/{key}", password)
    mosquitto.reload()
    devices: list[IndependentDevice] = []

    def make(key: str) -> IndependentDevice:
        name = f"{fleet.product.key}/{key}"
        devices.append(IndependentDevice(mosquitto.port, name, fleet.passwords[key]))
        return devices[-1].come_online()

    yield make
    for one in devices:
        one.hang_up()


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
    one.say("status", one.status(0), name=two.name)
    one.hang_up()  # the broker hangs up on who speaks for others, sooner or later: go on with a new connection
    one.come_online()
    for junk in (b"\xff", b"[" * 40_000, b"x" * 70_000, b"{}", b'{"deviceKey": "d2", "type": "MATTR"}'):
        one.say("up/attr", junk)
    one.say("up/other", b"{}")
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
        one.say("status", one.status(0))
        one.session = number
        one.say("status", one.status(1))
        one.report()
        if number in (50, 100, 150):
            bridge.kill()
        if number in (60, 110, 160):
            bridge.start()
    one.say("status", one.status(0))
    eventually(
        lambda: (not is_online(fleet)) and len(fleet.sessions()) >= 200, within=120, what="all 200 sessions closed"
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
    one.go_offline()
    three = device("d3")
    bridge.start()
    eventually(lambda: not is_online(fleet, "d1") and is_online(fleet, "d3"), what="the news of the pause")
    assert is_online(fleet, "d2")
    three.go_offline()
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
    eventually(lambda: is_online(fleet), what="the device online")
    eventually(lambda: fleet.service().reported_lock == Lock.LOCKED.value, what="the report")


def test_sessions_close_when_the_broker_died_not_when_it_came_back(
    product_on_test_database: Product, fleet: Fleet, mosquitto: Mosquitto, device
):
    """P4: with its state lost the broker can't tell what happened; the outage isn't online time."""
    product_on_test_database.bridge()
    one, two = device("d1"), device("d2")
    eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
    one.freeze()
    two.freeze()
    mosquitto.kill()
    died = clock.wall()
    mosquitto.lose_state()
    mosquitto.start()
    eventually(lambda: not is_online(fleet, "d1") and not is_online(fleet, "d2"), within=120, what="sessions closed")
    assert all(row.ended_at <= died and row.estimated for row in fleet.sessions("d1"))
    one.come_online()
    eventually(lambda: is_online(fleet, "d1"), what="the device back")


def knows_the_broker() -> bool:
    """Whether the bridge has heard how old the broker is, and could tell a younger one from it."""
    return Bridge.objects.filter(broker_uptime__gt=0).exists()


def restart_with_devices_gone(mosquitto: Mosquitto, *devices: IndependentDevice) -> datetime:
    """Devices fall silent, and the broker starts anew after a crash, with all that it knew; when it was down.

    Told to stop it would publish the last wills; killed it can't, and afterwards it doesn't.
    """
    for one in devices:
        one.freeze()
    mosquitto.save_state()
    mosquitto.kill()
    down_at = clock.wall()
    mosquitto.start()
    return down_at


def test_a_device_that_never_returns_after_a_restart_of_the_broker_does_not_stay_online(
    product_on_test_database: Product, fleet: Fleet, mosquitto: Mosquitto, device
):
    """P4: the broker kept its state, so nothing but its uptime tells that it died; who is back stays online."""
    product_on_test_database.bridge()
    one, two = device("d1"), device("d2")
    eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
    eventually(knows_the_broker, what="the broker's age")
    down_at = restart_with_devices_gone(mosquitto, one, two)
    one.come_online()
    eventually(lambda: not is_online(fleet, "d2"), what="the lost session closed")
    eventually(lambda: is_online(fleet, "d1"), what="the device that is back")
    one.report(service_lock="false")
    eventually(lambda: fleet.service("d1").reported_lock == Lock.UNLOCKED.value, what="the report")
    assert is_online(fleet, "d1")
    for key in ("d1", "d2"):
        [session] = fleet.sessions(key)
        assert session.ended_at <= down_at
        assert session.estimated


def test_a_restart_is_noticed_by_a_bridge_that_was_away_too_and_again_by_nobody(
    product_on_test_database: Product, fleet: Fleet, mosquitto: Mosquitto, device
):
    """P4: the whole machine restarts; a second restart of the bridge alone closes nothing."""
    bridge = product_on_test_database.bridge()
    one = device("d1")
    eventually(lambda: is_online(fleet), what="the device online")
    eventually(knows_the_broker, what="the broker's age")
    bridge.stop()
    restart_with_devices_gone(mosquitto, one)
    bridge.start()
    eventually(lambda: not is_online(fleet), what="the lost session closed")
    device("d2")
    eventually(lambda: is_online(fleet, "d2"), what="another device online")
    eventually(knows_the_broker, what="the new broker's age")
    bridge.stop()
    bridge.start()
    three = device("d3")
    eventually(lambda: is_online(fleet, "d3"), what="a device after the bridge's return")
    eventually(lambda: Bridge.objects.get().connected, what="its heartbeat")
    assert is_online(fleet, "d2")
    assert fleet.sessions("d2") == fleet.sessions(three.name.rpartition("/")[2]) == []


def test_without_the_brokers_age_the_lost_session_would_stay_open(
    product_on_test_database: Product, fleet: Fleet, mosquitto: Mosquitto, device
):
    """P4, negative control: the ACL keeps the uptime from the bridge, which then works as with any other broker."""
    allowed = mosquitto.acl_file.read_text()
    assert allowed.count(f"topic read {UPTIME_TOPIC}") == 1
    mosquitto.acl_file.write_text(allowed.replace(f"topic read {UPTIME_TOPIC}", ""))
    mosquitto.reload()
    try:
        product_on_test_database.bridge()
        one, two = device("d1"), device("d2")
        eventually(lambda: is_online(fleet, "d1") and is_online(fleet, "d2"), what="both online")
        restart_with_devices_gone(mosquitto, one, two)
        one.come_online()
        eventually(lambda: len(fleet.sessions("d1")) == 1, what="the session that its device ended by coming back")
        assert is_online(fleet, "d2")
        assert Bridge.objects.get().broker_uptime is None
    finally:
        mosquitto.acl_file.write_text(allowed)
        mosquitto.reload()


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
    eventually(lambda: Bridge.objects.get().broker_alive_at > row.broker_alive_at, what="the next echo")


def test_a_slot_is_written_as_two_of_four(product_on_test_database: Product):
    refused = product_on_test_database.manage("bridge", "--slot", "3/2", check=False)
    assert refused.returncode == 1
    assert "Write the slot as 2/4" in refused.stderr
