"""Publishes commands: QoS 1, never retained, expiring, with a window of unacknowledged messages.

One long-lived connection per process, opened when it is first needed. Nothing runs between two batches: the keep-alive
is an hour, and a connection that died or idled for longer is replaced before anything is sent.
"""

import os
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import mqtt5

from devices.transports.base import BrokerRefused, BrokerUnavailable, Downlink, Outcome, Receipt
from devices.transports.mqtt import DEFAULT_WINDOW, Connection, MqttAddress, connect_packet

COMMAND_EXPIRY_SECONDS = 5
"""A broker must not hand an old lock to a device that comes back (A21: what isn't acked in 5 s counts as offline)."""

TURN_WITHIN = 0.4
"""Seconds that a batch waits for another thread's, which takes some milliseconds or has trouble that we would share."""

_MAX_PACKET_IDS = 65535
_KEEPALIVE_SECONDS = 3600


class MqttPublisher:
    """The CommandTransport over MQTT 5. Safe to share between threads, and after a fork."""

    def __init__(
        self,
        address: MqttAddress,
        *,
        window: int = DEFAULT_WINDOW,
        expiry: int = COMMAND_EXPIRY_SECONDS,
        connect_timeout: float = 5.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not 1 <= window <= _MAX_PACKET_IDS:
            raise ValueError(f"The window is 1 to {_MAX_PACKET_IDS} messages")
        self._address = address
        self._window = window
        self._expiry = expiry
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._owner = 0

    def publish(self, messages: Sequence[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        """See CommandTransport.publish; a connection lost halfway is replaced once, for what wasn't sent yet."""
        with self._turn():
            connection = self._connected()
            run = _Run(messages, self._window, self._expiry, deadline=time.monotonic() + timeout)
            try:
                run.over(connection)
            except (BrokerUnavailable, BrokerRefused) as lost:
                self._drop()
                run.give_up_unanswered(str(lost))
                self._finish(run)
            return run.receipts()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One batch at a time. Whoever waits for long would publish what was claimed long ago (R3)."""
        if not self._lock.acquire(timeout=TURN_WITHIN):
            raise BrokerUnavailable("Another thread has been waiting for the broker")
        try:
            yield
        finally:
            self._lock.release()

    def _finish(self, run: "_Run") -> None:
        try:
            if run.may_go_on():
                run.over(self._connected())
        except (BrokerUnavailable, BrokerRefused) as lost:
            self._drop()
            run.give_up_unanswered(str(lost))

    def ping(self, *, timeout: float = 5.0) -> float:
        """Seconds from PINGREQ to PINGRESP."""
        with self._lock:
            connection = self._connected()
            started = time.monotonic()
            try:
                connection.send(mqtt5.PingReqPacket().write())
                while not any(isinstance(packet, mqtt5.PingRespPacket) for packet in connection.read()):
                    left = started + timeout - time.monotonic()
                    if left <= 0:
                        raise BrokerUnavailable(f"The broker at {self._address} doesn't answer a ping")
                    connection.wait(left)
            except BrokerUnavailable:
                self._drop()
                raise
            return time.monotonic() - started

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None and self._owner == os.getpid() and _is_usable(connection):
            return connection
        self._drop()
        self._connection = Connection.open(
            self._address,
            connect_packet(self._address, f"amp-dispatch-{secrets.token_hex(8)}", keepalive=_KEEPALIVE_SECONDS),
            window=self._window,
            timeout=self._connect_timeout,
            tls=self._tls,
        )
        self._owner = os.getpid()
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()  # after a fork this closes our copy; the parent's socket stays open
            self._connection = None


def _is_usable(connection: Connection) -> bool:
    """Whether an idle connection still is one; the broker may impose a shorter keep-alive than ours."""
    limit = connection.connack.server_keep_alive or _KEEPALIVE_SECONDS
    if time.monotonic() - connection.sent_at >= limit:
        return False
    try:
        return not any(isinstance(packet, mqtt5.DisconnectPacket) for packet in connection.read())
    except (BrokerUnavailable, BrokerRefused):
        return False


class _Run:
    """One batch on its way: what was sent, what was answered. Packet ids are positions, renewed every 65,535."""

    def __init__(self, messages: Sequence[Downlink], window: int, expiry: int, *, deadline: float) -> None:
        self._messages = messages
        self._window = window
        self._expiry = expiry
        self._deadline = deadline
        self._receipts: list[Receipt | None] = [None] * len(messages)
        self._next = 0
        self._flying: dict[int, int] = {}

    def over(self, connection: Connection) -> None:
        """Send and collect until all are answered or the time is over."""
        limit = connection.connack.max_packet_size
        while self._next < len(self._messages) or self._flying:
            if time.monotonic() >= self._deadline:
                raise BrokerUnavailable("The broker didn't acknowledge in time")
            if frames := self._frames(limit):
                connection.send(frames)
            if self._flying:
                connection.wait(self._deadline - time.monotonic())
                self._settle(connection.read())

    def _frames(self, limit: int | None) -> bytes:
        frames: list[bytes] = []
        while len(self._flying) < self._window and self._next < len(self._messages):
            packet_id = self._next % _MAX_PACKET_IDS + 1
            if packet_id in self._flying:
                break  # the same position of the last 65,535 is still unanswered
            frame = self._frame(self._next, packet_id, limit)
            if frame is not None:
                frames.append(frame)
                self._flying[packet_id] = self._next
            self._next += 1
        return b"".join(frames)

    def _frame(self, index: int, packet_id: int, limit: int | None) -> bytes | None:
        topic, payload = self._messages[index]
        try:
            frame = mqtt5.PublishPacket(
                topic,
                payload,
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=packet_id,
                message_expiry_interval=self._expiry,
            ).write()
        except ValueError as error:
            self._receipts[index] = Receipt(Outcome.REFUSED, str(error))
            return None
        if limit is not None and len(frame) > limit:
            self._receipts[index] = Receipt(Outcome.REFUSED, f"larger than the broker accepts ({limit} bytes)")
            return None
        return frame

    def _settle(self, packets: list[mqtt5.Packet]) -> None:
        for packet in packets:
            if isinstance(packet, mqtt5.PubAckPacket):
                index = self._flying.pop(packet.packet_id, None)
                if index is not None:
                    self._receipts[index] = _receipt(packet)
            elif isinstance(packet, mqtt5.DisconnectPacket):
                raise BrokerUnavailable(f"The broker hung up: {packet.reason_str or packet.reason_code.name}")

    def give_up_unanswered(self, reason: str) -> None:
        """What was sent on a lost connection may or may not have arrived; sending it twice isn't ours to decide."""
        for index in self._flying.values():
            self._receipts[index] = Receipt(Outcome.UNCONFIRMED, reason)
        self._flying.clear()
        self._reason = reason

    def may_go_on(self) -> bool:
        return self._next < len(self._messages) and time.monotonic() < self._deadline

    def receipts(self) -> list[Receipt]:
        return [receipt or Receipt(Outcome.NOT_SENT, self._reason) for receipt in self._receipts]

    _reason = ""


_PUBLISHED = Receipt(Outcome.PUBLISHED)
_NO_SUBSCRIBER = Receipt(Outcome.NO_SUBSCRIBER, "nobody is subscribed")


def _receipt(puback: mqtt5.PubAckPacket) -> Receipt:
    match puback.reason_code:
        case mqtt5.PubAckReasonCode.SUCCESS:
            return _PUBLISHED
        case mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS:
            return _NO_SUBSCRIBER
        case code:
            return Receipt(Outcome.REFUSED, puback.reason_str or code.name.lower().replace("_", " "))
