"""Commands on their whole way: a row, a real Mosquitto, a device that is an independent client, and back (A20–A23)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from amp.foundation.scoping import system_scope
from devices.models import Command, DeviceService, Presence
from devices.services.dispatch import close_stale, close_unanswered, dispatch_commands
from devices.services.uplinks import Inbound, apply_batch
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher
from tests.independent_device import IndependentDevice
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, WEEK, Fleet, command, make_fleet, newest, pay
from tests.stack.mosquitto import Mosquitto
from tests.stack.waiting import eventually

pytestmark = [pytest.mark.django_db, pytest.mark.journey]
PASSWORD = "device-secret"


class World:
    """The bridge and the dispatch of the product in this process, on product time that the test moves."""

    def __init__(self, mosquitto: Mosquitto, client_id: str) -> None:
        address = MqttAddress.parse(mosquitto.url)
        self.now: datetime = NOW
        self.mosquitto = mosquitto
        self.publisher = MqttPublisher(address)
        self.devices: list[IndependentDevice] = []
        self.listener = MqttListener(
            address, client_id=client_id, filters=("amp/+/+/up/#", "amp/+/+/status"), stamp=lambda: self.now
        ).open(timeout=60)

    def until(self, true: Callable[[], Any], what: str) -> None:
        """Bridge what devices say until `true`."""

        def bridged() -> Any:
            batch = self.listener.next_batch(timeout=0.05)
            if batch is not None:
                said = [Inbound(each.topic, each.payload, each.retained, self.now) for each in batch.messages]
                apply_batch(said, now=self.now)
                batch.ack()
            return true()

        eventually(bridged, what=what)

    def connect(self, fleet: Fleet, device_id: int | None = None, **options: bool) -> IndependentDevice:
        """The device comes online, and the product knows."""
        pk = device_id or fleet.ids[0]
        name = fleet.topic(pk).removeprefix("amp/").removesuffix("/down/attr")
        self.mosquitto.add_user(name, PASSWORD)
        self.mosquitto.reload()
        device = IndependentDevice(self.mosquitto.port, name, PASSWORD, **options).come_online()
        self.devices.append(device)
        self.until(lambda: Presence.objects.get(pk=pk).is_online, f"{name} online")
        return device

    def dispatch(self, *, after: timedelta = timedelta(0)) -> int:
        """All sweeps of commands, `after` so long."""
        self.now += after
        close_unanswered(now=self.now)
        close_stale(now=self.now)
        return dispatch_commands(now=self.now, transport=self.publisher)

    def close(self) -> None:
        for device in self.devices:
            device.hang_up()
        self.listener.close()
        self.publisher.close()


@pytest.fixture
def world(mosquitto: Mosquitto, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(mosquitto, f"bridge-{abs(hash(request.node.name))}")
    with system_scope():
        yield world
    world.close()


def status_of(row: Command) -> str:
    return command(row.ticket).status


def test_an_online_device_gets_its_lock_in_one_sweep_and_confirms_it(world: World) -> None:
    """A21."""
    fleet = make_fleet(online=False, name="JourneyA")
    device = world.connect(fleet)
    [lock] = fleet.tell(LOCK, now=world.now)
    assert world.dispatch() == 1
    world.until(lambda: status_of(lock) == "CONFIRMED", "the confirmation")
    world.until(lambda: DeviceService.objects.get(pk=fleet.ids[0]).reported_lock == "LOCKED", "the report")
    [message] = device.messages
    assert (message.qos, message.retain) == (1, False)
    assert device.received == [
        {
            "ticket": str(lock.ticket),
            "generation": 1,
            "type": "MATTR",
            "subtype": "WRITE",
            "data": {"kv": {"service_lock": "true"}},
        }
    ]


def test_a_device_that_was_offline_at_expiry_and_returns_in_time_gets_exactly_one_lock(world: World) -> None:
    """F53."""
    fleet = make_fleet(online=False, name="JourneyB")
    [lock] = fleet.tell(LOCK, now=world.now)
    world.dispatch(after=timedelta(minutes=1))
    world.now += timedelta(days=6)
    device = world.connect(fleet)
    assert world.dispatch() == 1
    world.until(lambda: status_of(lock) == "CONFIRMED", "the confirmation")
    for _ in range(5):
        assert world.dispatch(after=timedelta(minutes=2)) == 0
    assert [each["ticket"] for each in device.received] == [str(lock.ticket)]


def test_after_the_cache_time_no_lock_arrives_but_the_paid_unlock_does(world: World) -> None:
    """A23, F54."""
    fleet = make_fleet(2, online=False, name="JourneyC")
    expired, paid = fleet.ids
    [lock] = fleet.tell(LOCK, ids=[expired], now=world.now)
    pay(paid)
    [old] = fleet.tell(UNLOCK, ids=[paid], now=world.now)
    world.dispatch(after=WEEK + SECOND)
    assert [status_of(lock), status_of(old)] == ["STALE", "STALE"]
    locked_out, customer = world.connect(fleet, expired), world.connect(fleet, paid)
    assert world.dispatch() == 1
    fresh = newest(paid)
    world.until(lambda: status_of(fresh) == "CONFIRMED", "the unlock")
    assert [each["data"]["kv"] for each in customer.received] == [{"service_lock": "false"}]
    assert customer.received[0]["generation"] == 2
    assert locked_out.received == []
    assert Command.objects.filter(device_id=expired).count() == 1


def test_a_device_that_was_renewed_while_offline_hears_only_of_the_unlock(world: World) -> None:
    """F55."""
    fleet = make_fleet(online=False, name="JourneyD")
    fleet.tell(LOCK, now=world.now)
    pay(fleet.ids[0])
    [unlock] = fleet.tell(UNLOCK, now=world.now + timedelta(days=1))
    world.now += timedelta(days=2)
    device = world.connect(fleet)
    world.dispatch()
    world.until(lambda: status_of(unlock) == "CONFIRMED", "the unlock")
    world.dispatch(after=timedelta(minutes=5))
    assert [(each["generation"], each["data"]["kv"]["service_lock"]) for each in device.received] == [(2, "false")]


def test_a_mute_device_is_told_again_at_its_next_uplink_but_not_within_a_minute(world: World) -> None:
    """A21: a half-open link."""
    fleet = make_fleet(online=False, name="JourneyE")
    device = world.connect(fleet, mute=True)
    [lock] = fleet.tell(LOCK, now=world.now)
    world.dispatch()
    eventually(lambda: len(device.received) == 1, what="the first attempt")
    world.dispatch(after=6 * SECOND)
    Command.objects.update(due_at=world.now + timedelta(hours=1))  # as after many attempts
    device.report(service_lock="false")
    world.until(lambda: command(lock.ticket).due_at == NOW + 60 * SECOND, "the uplink")
    assert world.dispatch(after=53 * SECOND) == 0
    assert world.dispatch(after=SECOND) == 1
    eventually(lambda: len(device.received) == 2, what="the second attempt")
    assert {each["ticket"] for each in device.received} == {str(lock.ticket)}
