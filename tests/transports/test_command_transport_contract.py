"""What every CommandTransport keeps, the recorded one as well as MQTT on a real broker."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from devices.transports.base import BrokerUnavailable, CommandTransport, Downlink, Outcome
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_publisher import MqttPublisher
from devices.transports.recorded import RecordedTransport


@dataclass
class Subject:
    """A transport, and how to see what came of it."""

    transport: CommandTransport
    heard: Callable[[int], list[Downlink]]
    break_off: Callable[[], None]


def recorded(_request):
    transport = RecordedTransport()
    transport.unheard.add("amp/pk/nobody/down/attr")
    return Subject(transport, lambda size: transport.published[-size:], lambda: setattr(transport, "reachable", False))


def mqtt(request):
    broker = request.getfixturevalue("fragile_broker")
    client = request.getfixturevalue("client")(
        broker.platform_port, "platform", broker.platform_password, client_id="watcher"
    )
    assert client.connect() == 0
    client.subscribe("amp/pk/a/down/#")

    def heard(size):
        messages = [client.next() for _ in range(size)]
        return [Downlink(message.topic, message.payload) for message in messages]

    return Subject(MqttPublisher(MqttAddress.parse(broker.url)), heard, broker.kill)


@pytest.fixture(params=[recorded, mqtt], ids=lambda make: make.__name__)
def subject(request):
    made = request.param(request)
    yield made
    made.transport.close()


def lock(number: int = 0) -> Downlink:
    return Downlink("amp/pk/a/down/attr", b"%d" % number)


def test_messages_are_published_in_order_with_a_receipt_each(subject):
    batch = [lock(number) for number in range(2500)]
    receipts = subject.transport.publish(batch, timeout=60)
    assert [receipt.outcome for receipt in receipts] == [Outcome.PUBLISHED] * 2500
    assert subject.heard(2500) == batch


def test_an_empty_batch_is_fine(subject):
    assert subject.transport.publish([]) == []


def test_receipts_stand_where_their_messages_stood(subject):
    nobody = Downlink("amp/pk/nobody/down/attr", b"")
    receipts = subject.transport.publish([lock(), Downlink("amp/#", b""), nobody, Downlink("", b""), lock()])
    expected = [Outcome.PUBLISHED, Outcome.REFUSED, Outcome.NO_SUBSCRIBER, Outcome.REFUSED, Outcome.PUBLISHED]
    assert [receipt.outcome for receipt in receipts] == expected
    assert [receipt.ok for receipt in receipts] == [True, False, True, False, True]
    assert all(receipt.reason for receipt in receipts if receipt.outcome is not Outcome.PUBLISHED)


def test_a_closed_transport_opens_again(subject):
    subject.transport.close()
    assert subject.transport.publish([lock()])[0].ok


def test_a_ping_is_a_time_in_seconds(subject):
    assert subject.transport.ping(timeout=30) >= 0


def test_a_broker_that_is_away_is_an_error_and_nothing_counts_as_sent(subject):
    assert subject.transport.publish([lock()])[0].ok
    subject.break_off()
    with pytest.raises(BrokerUnavailable):
        subject.transport.publish([lock()])
    with pytest.raises(BrokerUnavailable):
        subject.transport.ping()
