"""What the listener has received and nobody has taken yet: stamped messages, and how each is acknowledged."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import mqtt5

_MAX_WAITING_BYTES = 64 * 1024 * 1024
_MICROSECOND = timedelta(microseconds=1)
_A_STEP_OF_THE_CLOCK = timedelta(seconds=1)


class Message(NamedTuple):
    """One message as it came off the socket.

    `retained` marks what the broker had stored before we subscribed: a state, not something that happened just now.
    `again` marks a message that was delivered before and not acknowledged.
    """

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool
    again: bool


class Batch:
    """Messages in the order of arrival. Call `ack` when they are committed, and only then."""

    def __init__(self, messages: list[Message], acknowledge: Callable[[], bool]) -> None:
        self.messages = messages
        self._acknowledge = acknowledge

    def ack(self) -> bool:
        """Acknowledge all of them in one write.

        False if the connection on which they came is gone: the broker will send them again, marked `again`.
        """
        return self._acknowledge()

    def __len__(self) -> int:
        return len(self.messages)


class Inbox:
    """Messages with their packet ids, oldest first. Its user holds one lock around every call."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._packet_ids: list[int | None] = []
        self._bytes = 0
        self._last: datetime | None = None

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that the socket should rest, and TCP make the broker wait."""
        return self._bytes > _MAX_WAITING_BYTES

    def put(self, publishes: Sequence[mqtt5.PublishPacket], moment: datetime) -> None:
        """Add packets that came off the socket together, at `moment`.

        Each is stamped a microsecond after the one before: what came in an order must not seem to have come at once,
        or a device's goodbye could be about either of two sessions that began just then (P3, P5).
        """
        first = moment
        if self._last and moment <= self._last < moment + _A_STEP_OF_THE_CLOCK:
            first = self._last + _MICROSECOND
        messages = [
            Message(packet.topic, packet.payload, first + number * _MICROSECOND, packet.retain, packet.duplicate)
            for number, packet in enumerate(publishes)
        ]
        self._last = messages[-1].received_at
        self._messages += messages
        self._packet_ids += [packet.packet_id for packet in publishes]
        self._bytes += sum(len(message.payload) for message in messages)

    def take(self, limit: int) -> tuple[list[Message], list[int]]:
        """Remove up to `limit` messages; the ids by which they can be acknowledged."""
        messages, packet_ids = self._messages[:limit], self._packet_ids[:limit]
        del self._messages[:limit], self._packet_ids[:limit]
        self._bytes -= sum(len(message.payload) for message in messages)
        return messages, [packet_id for packet_id in packet_ids if packet_id is not None]

    def forget_packet_ids(self) -> None:
        """The connection is gone: what waits keeps its stamp, but can't be acknowledged any more."""
        self._packet_ids = [None] * len(self._packet_ids)
