"""What came in an order is stamped in that order, also where it came off the socket at once (P3, P5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import mqtt5
import pytest

from amp.foundation.scoping import system_scope
from devices.services.uplinks import Inbound
from devices.transports.mqtt_inbox import Inbox, Message
from tests.talking_devices import at, make_fleet, tell

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def read(inbox: Inbox, moment: datetime, *packets: tuple[str, bytes]) -> list[Message]:
    """These came off the socket in one read."""
    inbox.put([mqtt5.PublishPacket(topic, payload) for topic, payload in packets], moment)
    return inbox.take(100)[0]


def stamps(inbox: Inbox, moment: datetime, number: int) -> list[timedelta]:
    return [message.received_at - moment for message in read(inbox, moment, *[("t", b"")] * number)]


def test_p5_messages_of_one_read_and_of_the_next_are_stamped_in_their_order() -> None:
    inbox = Inbox()
    assert stamps(inbox, MOMENT, 3) == [0 * MICROSECOND, MICROSECOND, 2 * MICROSECOND]
    assert stamps(inbox, MOMENT + MICROSECOND, 2) == [2 * MICROSECOND, 3 * MICROSECOND]
    assert stamps(inbox, MOMENT + timedelta(milliseconds=1), 1) == [0 * MICROSECOND]


def test_a_clock_that_is_set_back_is_followed() -> None:
    inbox = Inbox()
    stamps(inbox, MOMENT, 3)
    assert stamps(inbox, MOMENT - timedelta(minutes=1), 1) == [0 * MICROSECOND]


@pytest.mark.django_db
@pytest.mark.usefixtures("in_system_scope")
def test_p3_a_goodbye_ends_its_own_of_two_sessions_that_came_at_once() -> None:
    fleet = make_fleet()
    said = [fleet.online("d1", at("09:00"), 1), fleet.online("d1", at("09:00"), 2), fleet.offline("d1", at("09:00"), 1)]
    messages = read(Inbox(), at("09:00"), *[(one.topic, one.payload) for one in said])
    tell(*[Inbound(one.topic, one.payload, one.retained, one.received_at) for one in messages])
    assert (fleet.presence().is_online, fleet.presence().session) == (True, "2")
