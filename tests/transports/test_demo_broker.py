"""The demo's embedded broker: one port, both protocols, one password."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from amp.demo.broker import EmbeddedBroker
from devices.transports.base import BrokerRefused, Downlink, Outcome
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher
from tests.stack.daemon import accepts, free_port
from tests.stack.waiting import eventually
from tests.transports.conftest import UPLINKS, take, ticking_clock

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])


@pytest.fixture(scope="module")
def demo_broker():
    with EmbeddedBroker(port=free_port(), password="shared") as broker:
        yield broker


@pytest.fixture
def address(demo_broker):
    return MqttAddress.parse(demo_broker.url)


@pytest.fixture
def listener(address, session_id):
    with MqttListener(address, client_id=session_id, filters=UPLINKS, stamp=ticking_clock()) as one:
        yield one


@pytest.fixture
def device(demo_broker, client):
    def connect(name, protocol, **options):
        one = client(demo_broker.port, name, options.pop("password", "shared"), protocol=protocol, **options)
        return one, one.connect()

    return connect


@BOTH
def test_devices_of_both_protocols_talk_with_the_platform_on_one_port(listener, address, device, protocol):
    """Their client ids hold a slash, which the broker behind the door refuses."""
    one, reason = device(f"pk/d{int(protocol)}", protocol)
    assert reason == 0
    down = f"amp/pk/d{int(protocol)}/down/attr"
    one.subscribe(down)
    one.publish(f"amp/pk/d{int(protocol)}/up/attr", "hello")
    assert take(listener)[0].payload == b"hello"
    publisher = MqttPublisher(address)
    assert publisher.publish([Downlink(down, b"%d" % number) for number in range(2000)], timeout=60)[-1].ok
    publisher.close()
    assert [int(one.next().payload) for _ in range(2000)] == list(range(2000))


@BOTH
def test_a_last_will_and_a_retained_status_work(listener, device, protocol):
    name = f"pk/w{int(protocol)}"
    one, _ = device(name, protocol, will=(f"amp/{name}/status", "gone"))
    one.publish(f"amp/{name}/status", "here", retain=True)
    assert take(listener)[0].payload == b"here"
    one.mqtt.socket().shutdown(2)
    assert take(listener)[0].payload == b"gone"


@BOTH
def test_a_wrong_password_is_refused(device, protocol):
    assert device("pk/x", protocol, password="guessed")[1] != 0


def test_a_wrong_password_is_a_refusal_to_the_platform_too(demo_broker):
    wrong = MqttAddress("127.0.0.1", demo_broker.port, "platform", "guessed")
    with pytest.raises(BrokerRefused):
        MqttPublisher(wrong).ping()


def test_junk_at_the_door_harms_nobody(demo_broker, listener, device):
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\x7f", b"\x10\x04MQTT", b"\x10\x00", os.urandom(500)):
        with socket.create_connection(("127.0.0.1", demo_broker.port)) as raw:
            raw.sendall(junk)
    one, reason = device("pk/after", paho.MQTTv311)
    assert reason == 0
    one.publish("amp/pk/after/up/attr", "fine")
    assert take(listener)[0].payload == b"fine"


def test_no_old_command_waits_for_a_plain_device(demo_broker, address, client):
    """Message expiry isn't kept here, so an MQTT 3.1.1 device always gets a clean session (F59)."""
    away = client(demo_broker.port, "pk/away", "shared", clean_session=False)
    away.connect()
    away.subscribe("amp/pk/away/down/#")
    away.close()
    publisher = MqttPublisher(address)
    publisher.publish([Downlink("amp/pk/away/down/attr", b"old")])
    back = client(demo_broker.port, "pk/away", "shared", clean_session=False)
    assert back.connect() == 0
    back.subscribe("amp/pk/away/down/#")
    receipts = publisher.publish([Downlink("amp/pk/away/down/attr", b"fresh")])
    assert receipts[0].outcome is Outcome.PUBLISHED
    assert back.next().payload == b"fresh"
    publisher.close()


def test_a_taken_port_is_told_and_nothing_is_left(demo_broker):
    second = EmbeddedBroker(port=demo_broker.port)
    with pytest.raises(RuntimeError, match=f"port {demo_broker.port}"):
        second.start()
    assert not second.is_running


def test_stop_frees_the_port_and_it_starts_again():
    broker = EmbeddedBroker(port=free_port())
    for _ in range(2):
        broker.start()
        assert broker.is_running
        broker.stop()
        broker.stop()
        assert not accepts(broker.port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_ends_with_its_parent(number):
    port = free_port()
    code = f"from amp.demo.broker import EmbeddedBroker; EmbeddedBroker(port={port}).start(); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        eventually(lambda: accepts(port), what="the broker")
        parent.send_signal(number)
        parent.wait(30)
        eventually(lambda: not accepts(port), what="the end of the broker")
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
