"""The dispatcher's end of MQTT, against a real Mosquitto."""

import os
import subprocess
import time

import paho.mqtt.client as paho
import pytest

from devices.delivery import ACK_WITHIN
from devices.services.dispatch import CONNECT_WITHIN, PUBLISH_WITHIN
from devices.transports.base import BrokerRefused, BrokerUnavailable, Downlink, Outcome
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_publisher import COMMAND_EXPIRY_SECONDS, TURN_WITHIN, MqttPublisher
from tests.stack.daemon import free_port
from tests.stack.waiting import eventually
from tests.transports.conftest import DEVICE_PASSWORD


@pytest.fixture
def publisher(broker):
    one = MqttPublisher(MqttAddress.parse(broker.url))
    yield one
    one.close()


def lock(number: int = 0) -> Downlink:
    return Downlink("amp/pk/a/down/attr", str(number).encode())


@pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])
def test_devices_of_both_protocols_get_the_command(publisher, client, broker, protocol):
    device = client(broker.port, "pk/a", DEVICE_PASSWORD, protocol=protocol)
    assert device.connect() == 0
    device.subscribe("amp/pk/a/down/#")
    assert publisher.publish([lock(7)]) == [(Outcome.PUBLISHED, "")]
    message = device.next()
    assert (message.payload, message.qos, message.retain) == (b"7", 1, False)


def test_nobody_listening_is_told_and_counts_as_taken(publisher):
    (receipt,) = publisher.publish([Downlink("amp/pk/nobody/down/attr", b"x")])
    assert receipt.outcome is Outcome.NO_SUBSCRIBER
    assert receipt.ok


def test_five_thousand_commands_pass_the_window_in_order(publisher, device):
    device.subscribe("amp/pk/a/down/#")
    receipts = publisher.publish([lock(number) for number in range(5000)], timeout=60)
    assert {receipt.outcome for receipt in receipts} == {Outcome.PUBLISHED}
    assert [int(device.next().payload) for _ in range(5000)] == list(range(5000))


def test_a_window_of_one_and_packet_ids_beyond_their_range_work(broker):
    narrow = MqttPublisher(MqttAddress.parse(broker.url), window=1)
    assert [receipt.ok for receipt in narrow.publish([lock(number) for number in range(50)], timeout=60)] == [True] * 50
    narrow.close()
    wide = MqttPublisher(MqttAddress.parse(broker.url), window=5000)
    assert all(receipt.ok for receipt in wide.publish([lock()] * 70_000, timeout=60))
    wide.close()


def offline_device(client, broker):
    """A device with a lasting session on MQTT 3.1.1, away: what is published now is queued for it."""
    device = client(broker.port, "pk/b", DEVICE_PASSWORD, clean_session=False)
    assert device.connect() == 0
    device.subscribe("amp/pk/b/down/#")
    device.close()
    return client(broker.port, "pk/b", DEVICE_PASSWORD, clean_session=False)


def payloads_until(device, last: str) -> list[str]:
    """What the device receives, up to a message that was published after it came back."""
    payloads: list[str] = []
    while not payloads or payloads[-1] != last:
        payloads.append(device.next().payload.decode())
    return payloads


def test_a_lock_for_an_offline_device_is_not_handed_out_later(broker, client):
    """F59, R3: the message expires at the broker. Shown with an expiry of 1 s, for 5 s take 5 s."""
    returning = offline_device(client, broker)
    short = MqttPublisher(MqttAddress.parse(broker.url), expiry=1)
    short.publish([Downlink("amp/pk/b/down/attr", b"old lock")])
    expired = time.monotonic() + 2.1  # Mosquitto counts in whole seconds
    eventually(lambda: time.monotonic() > expired, what="the expiry")
    assert returning.connect() == 0
    short.publish([Downlink("amp/pk/b/down/attr", b"fresh")])
    assert payloads_until(returning, "fresh") == ["fresh"]
    short.close()


def test_without_expiry_the_old_lock_would_be_handed_out(broker, client):
    """Negative control: the broker does queue for this device, so it is the expiry that protects it."""
    returning = offline_device(client, broker)
    long = MqttPublisher(MqttAddress.parse(broker.url), expiry=3600)
    long.publish([Downlink("amp/pk/b/down/attr", b"old lock")])
    assert returning.connect() == 0
    long.publish([Downlink("amp/pk/b/down/attr", b"fresh")])
    assert payloads_until(returning, "fresh") == ["old lock", "fresh"]
    long.close()


def test_commands_carry_the_expiry_of_the_wire_contract(publisher, broker, client):
    """wire: message expiry 5 s; an MQTT 5 subscriber sees what is left of it."""
    assert COMMAND_EXPIRY_SECONDS == 5
    watcher = client(
        broker.platform_port, "platform", broker.platform_password, client_id="watcher", protocol=paho.MQTTv5
    )
    assert watcher.connect() == 0
    watcher.subscribe("amp/pk/a/down/#")
    publisher.publish([lock()])
    assert 0 < watcher.next().properties.MessageExpiryInterval <= 5


def test_commands_are_never_retained(publisher, broker):
    """F59: a device that subscribes later gets nothing."""
    publisher.publish([Downlink("amp/pk/a/down/attr", b"lock")])
    seen = subprocess.run(
        ["mosquitto_sub", "-p", str(broker.port), "-u", "pk/a", "-P", DEVICE_PASSWORD, "-i", "pk/a",
         "-t", "amp/pk/a/down/#", "-q", "1", "-W", "1"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert seen.stdout == ""


def test_a_message_the_broker_never_takes_is_refused_alone(publisher):
    good, wild, huge = lock(), Downlink("amp/+/down", b"x"), Downlink("amp/" + "x" * 70_000, b"x")
    receipts = publisher.publish([good, wild, huge, good])
    assert [receipt.outcome is Outcome.REFUSED for receipt in receipts] == [False, True, True, False]
    assert receipts[1].reason


def test_a_topic_the_user_may_not_write_is_refused(publisher):
    (receipt,) = publisher.publish([Downlink("elsewhere/x", b"x")])
    assert (receipt.outcome, receipt.ok) == (Outcome.REFUSED, False)
    assert "not authorized" in receipt.reason


def test_an_idle_connection_that_died_is_replaced_before_sending(fragile_broker):
    publisher = MqttPublisher(MqttAddress.parse(fragile_broker.url))
    assert publisher.publish([lock()])[0].ok
    fragile_broker.kill()
    with pytest.raises(BrokerUnavailable):
        publisher.publish([lock()])
    fragile_broker.start()
    assert publisher.publish([lock()])[0].ok
    assert publisher.ping(timeout=30) > 0
    publisher.close()


def test_a_frozen_broker_leaves_receipts_that_say_so_within_the_time(fragile_broker):
    """Bounded: unanswered ones may have arrived, the rest never left."""
    publisher = MqttPublisher(MqttAddress.parse(fragile_broker.url), window=10)
    publisher.publish([lock()])
    fragile_broker.pause()
    try:
        outcomes = [receipt.outcome for receipt in publisher.publish([lock()] * 25, timeout=2)]
    finally:
        fragile_broker.resume()
    assert outcomes == [Outcome.UNCONFIRMED] * 10 + [Outcome.NOT_SENT] * 15
    assert publisher.publish([lock()])[0].ok
    publisher.close()


def test_a_batch_does_not_wait_long_for_another_threads(publisher):
    """R3: it was claimed before it waits, and a newer command of its device waits 5 s for it at most."""
    with publisher._turn(), pytest.raises(BrokerUnavailable, match="Another thread"):
        publisher.publish([Downlink("amp/p1/d1/down/attr", b"{}")])
    assert ACK_WITHIN.total_seconds() > CONNECT_WITHIN + PUBLISH_WITHIN + TURN_WITHIN


def test_a_wrong_password_is_a_refusal(broker):
    address = MqttAddress(host="127.0.0.1", port=broker.platform_port, username="platform", password="wrong")
    with pytest.raises(BrokerRefused):
        MqttPublisher(address).publish([lock()])


def test_nobody_at_the_address_is_unavailable():
    with pytest.raises(BrokerUnavailable):
        MqttPublisher(MqttAddress(host="127.0.0.1", port=free_port())).publish([lock()])


def test_a_forked_worker_opens_a_connection_of_its_own(publisher):
    """Two processes on one socket would mix their packets."""
    assert publisher.publish([lock()])[0].ok
    child = os.fork()
    if child == 0:
        os._exit(0 if publisher.publish([lock()] * 100)[0].ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all(receipt.ok for receipt in publisher.publish([lock()] * 100))
