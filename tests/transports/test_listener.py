"""The bridge's end of MQTT, against a real Mosquitto."""

import subprocess
import threading

import pytest

from amp.demo.broker import EmbeddedBroker
from devices.transports.base import BrokerRefused, BrokerUnavailable, Downlink
from devices.transports.mosquitto import UPTIME_TOPIC
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_inbox import Message
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher
from devices.transports.mqtt_session import SESSION_EXPIRY_SECONDS
from tests.stack.daemon import free_port
from tests.stack.waiting import eventually
from tests.transports.conftest import DEVICE_PASSWORD, UPLINKS, take, ticking_clock


def test_an_uplink_arrives_with_its_topic_payload_and_stamp(listen, device):
    listener = listen()
    device.publish("amp/pk/a/up/attr", '{"ticket": "1"}')
    (message,) = take(listener)
    assert (message.topic, message.payload) == ("amp/pk/a/up/attr", b'{"ticket": "1"}')
    assert message.received_at.year == 2026
    assert not message.again


def test_messages_are_stamped_at_the_socket_while_the_caller_is_busy(listen, device):
    """Two messages with a pause between them get two stamps, though the caller takes them together."""
    listener = listen(filters=["amp/+/+/up/#"])
    device.publish("amp/pk/a/up/attr", "first")
    eventually(lambda: len(listener._inbox) == 1)
    device.publish("amp/pk/a/up/attr", "second")
    eventually(lambda: len(listener._inbox) == 2)
    batch = listener.next_batch()
    assert [message.payload for message in batch.messages] == [b"first", b"second"]
    assert batch.messages[0].received_at < batch.messages[1].received_at


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(listen, device):
    """Acknowledged after the commit: a bridge that dies before it gets its messages again (R5, F58)."""
    first = listen()
    device.publish("amp/pk/a/up/attr", "committed")
    take(first)
    device.publish("amp/pk/a/up/attr", "lost in a rolled back transaction")
    take(first, ack=False)
    first.close()

    again = take(listen())
    assert [(message.payload, message.again) for message in again] == [(b"lost in a rolled back transaction", True)]


def test_without_a_lasting_session_the_unacknowledged_message_is_gone(listen, device):
    """Negative control of the test above: it is the session that brings the message back."""
    first = listen(session_expiry=0)
    device.publish("amp/pk/a/up/attr", "gone")
    take(first, ack=False)
    first.close()
    second = listen(session_expiry=0)
    device.publish("amp/pk/a/up/attr", "later")
    assert [message.payload for message in take(second)] == [b"later"]


def test_what_devices_say_while_the_bridge_is_away_waits_for_it(listen, device):
    listen().close()
    for number in range(1500):  # beyond Mosquitto's default queue of 1000
        device.publish("amp/pk/a/up/attr", str(number))
    messages = take(listen(), 1500)
    assert [int(message.payload) for message in messages] == list(range(1500))


def test_the_session_lasts_at_least_a_day():
    assert SESSION_EXPIRY_SECONDS >= 24 * 3600


def test_a_stored_status_is_marked_retained_and_a_live_one_is_not(listen, device):
    """The wire contract's filter on retained messages would drop all presence if live ones were marked too."""
    device.publish("amp/pk/a/status", '{"value": 1, "session": 1}', retain=True)
    listener = listen()
    stored = [message for message in take(listener, retained=True) if message.topic == "amp/pk/a/status"]
    device.publish("amp/pk/a/status", '{"value": 1, "session": 2}', retain=True)
    fresh = take(listener)
    assert [(message.retained, message.payload[-2:-1]) for message in (*stored, *fresh)] == [
        (True, b"1"),
        (False, b"2"),
    ]
    device.publish("amp/pk/a/status", "", retain=True)


def test_a_last_will_is_live(listen, client, broker):
    listener = listen()
    will = ("amp/pk/b/status", '{"value": 0, "session": 3}')
    device = client(broker.port, "pk/b", DEVICE_PASSWORD, will=will)
    assert device.connect() == 0
    device.mqtt.socket().shutdown(2)
    (message,) = take(listener)
    assert (message.topic, message.retained) == ("amp/pk/b/status", False)


def test_five_thousand_messages_come_in_order_and_are_acknowledged(listen, broker):
    """Not one comes twice, though the next listener takes the session over at once."""
    listener = listen()
    publisher = MqttPublisher(MqttAddress.parse(broker.url))
    receipts = publisher.publish(
        [Downlink("amp/pk/a/up/attr", str(number).encode()) for number in range(5000)], timeout=60
    )
    assert all(receipt.ok for receipt in receipts)
    messages = take(listener, 5000)
    assert [int(message.payload) for message in messages] == list(range(5000))
    listener.close()
    again = listen()
    publisher.publish([Downlink("amp/pk/a/up/attr", b"next")])
    assert [message.payload for message in take(again)] == [b"next"]
    publisher.close()


def test_a_batch_holds_no_more_than_the_limit(listen, device):
    listener = listen(filters=["amp/+/+/up/#"])
    for number in range(7):
        device.publish("amp/pk/a/up/attr", str(number))
    eventually(lambda: len(listener._inbox) >= 7)
    sizes = [len(listener.next_batch(limit=3)) for _ in range(3)]
    assert sizes == [3, 3, 1]
    assert listener.next_batch(timeout=0) is None


def test_a_killed_broker_is_found_again_and_subscribed_again(fragile_broker, client):
    """kill -9 of the broker, which forgets the session: nobody has to restart the bridge."""
    listener = MqttListener(
        MqttAddress.parse(fragile_broker.url),
        client_id="bridge",
        filters=UPLINKS,
        stamp=ticking_clock(),
        back_off=(0.05, 0.2),
    )
    with listener:
        fragile_broker.kill()
        eventually(lambda: listener.trouble, what="the loss of the broker")
        with pytest.raises(BrokerUnavailable):
            listener.ping()
        fragile_broker.start()
        eventually(lambda: listener.connected, what="the new connection")
        device = client(fragile_broker.port, "pk/a", DEVICE_PASSWORD)
        assert device.connect() == 0
        device.publish("amp/pk/a/up/attr", "after the crash")
        assert [message.payload for message in take(listener)] == [b"after the crash"]


def test_an_acknowledgement_never_goes_to_a_later_connection(fragile_broker, client):
    """Packet ids start anew with each session; an old one could acknowledge a message nobody stored."""
    listener = MqttListener(
        MqttAddress.parse(fragile_broker.url), client_id="bridge", filters=UPLINKS, stamp=ticking_clock(),
        back_off=(0.05, 0.2),
    )  # fmt: skip
    with listener:
        device = client(fragile_broker.port, "pk/a", DEVICE_PASSWORD)
        assert device.connect() == 0
        device.publish("amp/pk/a/up/attr", "before")
        old = listener.next_batch(timeout=30)
        device.close()
        fragile_broker.restart()
        # The restarted broker kept the session and delivers the message again.
        (redelivered,) = take(listener, ack=False)
        assert redelivered.payload == b"before"
        assert old.ack() is False
    with MqttListener(
        MqttAddress.parse(fragile_broker.url), client_id="bridge", filters=UPLINKS, stamp=ticking_clock()
    ) as third:
        assert [message.payload for message in take(third)] == [b"before"]


def test_a_frozen_broker_is_noticed_by_the_keep_alive(fragile_broker):
    listener = MqttListener(
        MqttAddress.parse(fragile_broker.url), client_id="bridge", filters=UPLINKS, stamp=ticking_clock(), keepalive=1
    )
    with listener:
        fragile_broker.pause()
        try:
            with pytest.raises(BrokerUnavailable):
                listener.ping(timeout=0.2)
            eventually(lambda: listener.trouble, what="the silence")
        finally:
            fragile_broker.resume()
        eventually(lambda: listener.connected, what="the new connection")


def test_a_ping_goes_to_the_broker_and_back(listen):
    assert listen().ping(timeout=30) > 0


def test_a_broker_with_too_small_a_receive_maximum_is_refused(tmp_path):
    """Readiness refuses it: Mosquitto's default of 20 would slow every batch down to a crawl."""
    port = free_port()
    configuration = tmp_path / "small.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 20\n")
    process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", configuration], stderr=subprocess.DEVNULL)
    address = MqttAddress.parse(f"mqtt://127.0.0.1:{port}")
    options = {"client_id": "bridge", "filters": UPLINKS, "stamp": ticking_clock()}
    try:
        eventually(lambda: _opens(MqttListener(address, window=20, **options)), what="the broker")
        with pytest.raises(BrokerRefused, match="allows 20 unacknowledged messages, 1000 are needed"):
            MqttListener(address, **options).open()
    finally:
        process.kill()
        process.wait()


def _opens(listener):
    try:
        listener.open(timeout=1).close()
    except BrokerUnavailable:
        return False
    return True


def test_a_wrong_password_is_told_at_once(broker, listen):
    address = MqttAddress(host="127.0.0.1", port=broker.platform_port, username="platform", password="wrong")
    with pytest.raises(BrokerRefused, match="refused the connection"):
        listen(address=address)


def test_nobody_at_the_address_is_told_after_the_time_given():
    address = MqttAddress(host="127.0.0.1", port=free_port())
    listener = MqttListener(address, client_id="b", filters=UPLINKS, stamp=ticking_clock())
    with pytest.raises(BrokerUnavailable, match="Can't reach the broker"):
        listener.open(timeout=0.5)


def test_a_failing_stamp_is_raised_to_the_caller_and_nothing_is_acknowledged(listen, device):
    def broken():
        raise RuntimeError("no clock")

    listener = listen(stamp=broken, filters=["amp/+/+/up/#"])
    device.publish("amp/pk/a/up/attr", "kept")
    with pytest.raises(RuntimeError, match="no clock"):
        eventually(lambda: listener.next_batch(timeout=0.1))
    listener.close()
    assert [message.payload for message in take(listen())] == [b"kept"]


def test_the_brokers_own_topics_come_where_it_lets_us_hear_them(listen, device):
    listener = listen(extras=[UPTIME_TOPIC])
    heard: list[Message] = []

    def comes() -> bool:
        heard.extend(take(listener, retained=True))
        return any(each.topic == UPTIME_TOPIC for each in heard)

    eventually(comes, what="the broker's age")
    assert all(each.payload.endswith(b" seconds") for each in heard if each.topic == UPTIME_TOPIC)


def test_extras_that_a_broker_refuses_or_hangs_up_on_are_done_without(session_id):
    """The demo's broker hangs up on who asks for `$SYS`; what matters is subscribed again, and stays."""
    with EmbeddedBroker(port=free_port(), password="shared") as broker:
        listener = MqttListener(
            MqttAddress.parse(broker.url), client_id=session_id, filters=UPLINKS, stamp=ticking_clock(),
            extras=[UPTIME_TOPIC], back_off=(0.05, 0.2),
        )  # fmt: skip
        with listener:
            eventually(lambda: listener.connections == 3 and listener.connected, what="two attempts, then one without")
            publisher = MqttPublisher(MqttAddress.parse(broker.url))
            assert publisher.publish([Downlink("amp/pk/a/up/attr", b"heard")])[0].ok
            publisher.close()
            assert [message.payload for message in take(listener)] == [b"heard"]
            assert listener.connections == 3


def test_closing_leaves_no_thread(listen, session_id):
    listen().close()
    assert f"mqtt-{session_id}" not in {thread.name for thread in threading.enumerate()}
