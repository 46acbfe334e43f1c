"""Simulated devices keep the wire contract, on a real Mosquitto."""

import json

import pytest

from amp.demo.simulated_device import SimulatedDevice
from amp.demo.simulator import Simulator
from devices.transports.base import Downlink
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher
from tests.stack.waiting import eventually
from tests.transports.conftest import DEVICE_PASSWORD, UPLINKS, take, ticking_clock


@pytest.fixture
def listener(broker, session_id):
    address = MqttAddress.parse(broker.url)
    with MqttListener(address, client_id=session_id, filters=UPLINKS, stamp=ticking_clock()) as one:
        yield one


@pytest.fixture
def publisher(broker):
    one = MqttPublisher(MqttAddress.parse(broker.url))
    yield one
    one.close()


@pytest.fixture
def simulate(broker):
    """Starts a simulator with the given devices, quiet unless told otherwise; the device `pk/a` may log in."""
    running = []

    def start(*devices, **options):
        options.setdefault("report_every", 86_400)
        address = MqttAddress("127.0.0.1", broker.port)
        running.append(Simulator(address, devices, password=DEVICE_PASSWORD, **options))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.stop()


def said(listener, wanted=1):
    """What devices said: (last part of the topic, document)."""
    return [(message.topic.split("/", 3)[3], json.loads(message.payload)) for message in take(listener, wanted)]


def command(ticket, value, generation):
    body = {
        "ticket": ticket, "generation": generation, "type": "MATTR", "subtype": "WRITE",
        "data": {"kv": {"service_lock": value}},
    }  # fmt: skip
    return Downlink("amp/pk/a/down/attr", json.dumps(body).encode())


def test_a_device_comes_online_leaves_and_returns_with_a_new_session(simulate, listener):
    simulator = simulate(SimulatedDevice("pk", "a", session=16))
    status, report = said(listener, 2)
    assert status == ("status", {"value": 1, "session": 17, "keepalive": 30})
    assert report[1]["data"] == {"kv": {"service_lock": "false"}}
    simulator.go_offline("pk/a")
    assert said(listener) == [("status", {"value": 0, "session": 17, "keepalive": 30})]
    assert not simulator.is_connected("pk/a")
    simulator.go_online("pk/a")
    assert said(listener, 2)[0] == ("status", {"value": 1, "session": 18, "keepalive": 30})


def test_a_broken_connection_is_told_by_the_last_will(simulate, listener):
    simulator = simulate(SimulatedDevice("pk", "a", session=1))
    said(listener, 2)
    simulator.cut("pk/a")
    assert said(listener) == [("status", {"value": 0, "session": 2, "keepalive": 30})]


def test_a_device_obeys_lock_and_unlock_and_reports_the_value(simulate, listener, publisher):
    device = SimulatedDevice("pk", "a")
    simulate(device)
    said(listener, 2)
    for generation, value in ((1, "true"), (2, "false")):
        publisher.publish([command(f"t{generation}", value, generation)])
        (_, ack), (where, report) = said(listener, 2)
        assert ack == {"ticket": f"t{generation}", "status": "succ"}
        assert (where, report["subtype"], report["data"]) == ("up/attr", "REPORT", {"kv": {"service_lock": value}})
        assert device.properties["service_lock"] == value


def test_a_command_older_than_the_last_one_changes_nothing(simulate, listener, publisher):
    """R3 from the device's side."""
    device = SimulatedDevice("pk", "a")
    simulate(device)
    said(listener, 2)
    publisher.publish([command("new", "false", 5), command("old", "true", 4)])
    documents = said(listener, 4)
    assert [document["status"] for where, document in documents if where == "up/ack"] == ["succ", "fail"]
    assert device.properties["service_lock"] == "false"


def test_a_device_that_does_not_obey_says_nothing(simulate, listener, publisher):
    device = SimulatedDevice("pk", "a", obeys=False)
    simulator = simulate(device)
    said(listener, 2)
    publisher.publish([command("t", "true", 1)])
    simulator.report("pk/a")
    assert [where for where, _ in said(listener)] == ["up/attr"]
    assert device.properties["service_lock"] == "false"


def test_junk_from_the_platform_does_not_end_a_device(simulate, listener, publisher):
    simulate(SimulatedDevice("pk", "a"))
    said(listener, 2)
    publisher.publish([Downlink("amp/pk/a/down/attr", junk) for junk in (b"", b"[]", b"{}", b"\xff", b'{"ticket":1}')])
    publisher.publish([command("t", "true", 1)])
    assert said(listener, 2)[0][1] == {"ticket": "t", "status": "succ"}


def test_devices_report_now_and_then(simulate, listener):
    simulate(SimulatedDevice("pk", "a", readings={"voltage": (210, 240)}), report_every=0.1)
    documents = said(listener, 3)
    values = [document["data"]["kv"] for where, document in documents if where == "up/attr"]
    assert values
    assert all(210 <= float(kv["voltage"]) <= 240 for kv in values)


def test_devices_find_a_restarted_broker_by_themselves(fragile_broker):
    devices = [SimulatedDevice("pk", "a"), SimulatedDevice("pk", "b")]
    simulator = Simulator(MqttAddress("127.0.0.1", fragile_broker.port), devices, password=DEVICE_PASSWORD)
    simulator.start()
    try:
        eventually(lambda: simulator.connected() == 2)
        fragile_broker.kill()
        eventually(lambda: simulator.connected() == 0)
        fragile_broker.start()
        eventually(lambda: simulator.connected() == 2)
    finally:
        simulator.stop()
    assert simulator.connected() == 0


def test_a_refused_device_keeps_trying_until_it_is_let_in(fragile_broker):
    simulator = Simulator(
        MqttAddress("127.0.0.1", fragile_broker.port), [SimulatedDevice("pk", "later")], password=DEVICE_PASSWORD
    )
    simulator.start()
    try:
        eventually(lambda: "not authorised" in fragile_broker.output())
        fragile_broker.add_user("pk/later", DEVICE_PASSWORD)
        fragile_broker.reload()
        eventually(lambda: simulator.is_connected("pk/later"))
    finally:
        simulator.stop()
