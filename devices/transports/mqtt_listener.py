"""Receives what devices say: a lasting session, messages stamped at the socket, acknowledged after the commit.

One thread owns the socket: it reads and stamps while the caller's transaction runs, keeps the connection alive, and
reconnects. The caller takes batches, stores them, and acknowledges. What isn't acknowledged comes again.
"""

import contextlib
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import mqtt5

from devices.transports.base import BrokerRefused, BrokerUnavailable
from devices.transports.mqtt import DEFAULT_WINDOW, Connection, MqttAddress
from devices.transports.mqtt_inbox import Batch, Inbox
from devices.transports.mqtt_session import EXTRAS_PACKET_ID, SESSION_EXPIRY_SECONDS, Extras, LastingSession

log = logging.getLogger(__name__)

_BACK_OFF_SECONDS = (0.2, 15.0)
_KEEPALIVE_SECONDS = 30


class MqttListener:
    """A subscription that survives restarts of either side. Use as a context manager, or `open` and `close`."""

    def __init__(
        self,
        address: MqttAddress,
        *,
        client_id: str,
        filters: Sequence[str],
        stamp: Callable[[], datetime],
        window: int = DEFAULT_WINDOW,
        session_expiry: int = SESSION_EXPIRY_SECONDS,
        keepalive: int = _KEEPALIVE_SECONDS,
        back_off: tuple[float, float] = _BACK_OFF_SECONDS,
        tls: ssl.SSLContext | None = None,
        extras: Sequence[str] = (),
    ) -> None:
        """`client_id` names the session and must be this listener's alone; `stamp` gives the wall clock.

        `window` is the receive maximum that the broker must grant; `back_off` the shortest and longest wait between
        two attempts to connect, in seconds. `extras` are filters that the broker may refuse.
        """
        self._address = address
        self._client_id = client_id
        self._session = LastingSession(address, client_id, tuple(filters), window, session_expiry, keepalive, tls)
        self._extras = Extras(extras)
        self._stamp = stamp
        self._keepalive = keepalive
        self._back_off = back_off
        self._changed = threading.Condition()
        self._inbox = Inbox()
        self._outbox: list[bytes] = []
        self._epoch = 0
        self._sessions_lost = 0
        self._connected = False
        self._pongs = 0
        self._stopping = threading.Event()
        self._trouble: BrokerUnavailable | BrokerRefused | None = None
        self._failure: Exception | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread: threading.Thread | None = None

    # -- the caller's side ------------------------------------------------------------------------------------------

    def open(self, *, timeout: float = 30.0) -> Self:
        """Start, and return once connected and subscribed.

        Raises BrokerRefused as soon as the broker says no, BrokerUnavailable when `timeout` seconds are over. Later
        refusals and losses only make it try again; `trouble` tells.
        """
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{self._client_id}", daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(self._is_decided, timeout)
            if self._connected:
                return self
            trouble = self._failure or self._trouble
        self.close()
        raise trouble or BrokerUnavailable(f"The broker at {self._address} didn't answer in {timeout:g} s")

    def _is_decided(self) -> bool:
        return self._connected or self._failure is not None or isinstance(self._trouble, BrokerRefused)

    def next_batch(self, *, limit: int = 5000, timeout: float = 1.0) -> Batch | None:
        """Up to `limit` messages that have arrived, waiting up to `timeout` seconds for the first; None if none did.

        Raises what stopped the listening thread, if anything did: a loss of the broker doesn't.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._inbox) or self._failure, timeout)
            if self._failure is not None:
                raise self._failure
            if not len(self._inbox):
                return None
            was_full = self._inbox.is_full
            messages, packet_ids = self._inbox.take(limit)
            epoch = self._epoch
        if was_full:
            self._wake()
        return Batch(messages, lambda: self._acknowledge(packet_ids, epoch))

    def ping(self, *, timeout: float = 5.0) -> float:
        """Seconds that one round trip to the broker takes. Raises BrokerUnavailable if there is no answer."""
        started = time.monotonic()
        with self._changed:
            pongs, epoch = self._pongs, self._epoch
            if not self._connected:
                raise BrokerUnavailable(self.trouble or f"Not connected to the broker at {self._address}")
            self._outbox.append(mqtt5.PingReqPacket().write())
        self._wake()
        with self._changed:
            if not self._changed.wait_for(lambda: self._pongs != pongs and self._epoch == epoch, timeout):
                raise BrokerUnavailable(f"The broker at {self._address} doesn't answer a ping")
        return time.monotonic() - started

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def connections(self) -> int:
        """How often we have connected so far; a change means that contact was lost in between."""
        return self._epoch

    @property
    def sessions_lost(self) -> int:
        """How often the broker had no session of ours when we connected: at the very first time, or when it forgot."""
        return self._sessions_lost

    @property
    def trouble(self) -> str:
        """Why we aren't connected, for people; empty while we are."""
        return "" if self._connected else str(self._trouble or "")

    def close(self) -> None:
        """Write what was acknowledged and hang up; the session and what wasn't acknowledged stay with the broker."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._wake_in.close()
        self._wake_out.close()
        with self._changed:
            self._connected = False
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _acknowledge(self, packet_ids: list[int], epoch: int) -> bool:
        acks = b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in packet_ids)
        with self._changed:
            if epoch != self._epoch or not self._connected:
                return False
            self._outbox.append(acks)
        self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: a wake-up is already waiting
            self._wake_in.send(b"\0")

    # -- the thread that owns the socket ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._reconnect_for_ever()
        except Exception as failure:
            log.exception("MQTT listener %s stopped", self._client_id)
            with self._changed:
                self._failure, self._connected = failure, False
                self._changed.notify_all()

    def _reconnect_for_ever(self) -> None:
        shortest, longest = self._back_off
        delay = shortest
        while not self._stopping.is_set():
            connection: Connection | None = None
            started = time.monotonic()
            try:
                connection = self._connect()
                self._serve(connection)
                connection.close()
            except (BrokerUnavailable, BrokerRefused) as trouble:
                log.warning("MQTT listener %s: %s", self._client_id, trouble)
                self._disconnected(trouble)
            finally:
                if connection is not None:
                    connection.abort()
            if time.monotonic() - started > longest:
                delay = shortest  # it held for a while; two clients that throw each other out don't earn this
            self._stopping.wait(random.uniform(delay / 2, delay))  # noqa: S311 - jitter, not a secret
            delay = min(delay * 2, longest)

    def _connect(self) -> Connection:
        connection = self._session.connect()
        with self._changed:
            self._epoch += 1
            self._sessions_lost += not connection.connack.session_present
            self._outbox.clear()
            self._inbox.forget_packet_ids()
        return connection

    def _serve(self, connection: Connection) -> None:
        keepalive = connection.connack.server_keep_alive or self._keepalive
        while not self._stopping.is_set():
            room = not self._inbox.is_full
            connection.wait(keepalive / 4, self._wake_out, reading=room)
            self._drain_wakes()
            self._keep_alive(connection, keepalive, reading=room)
            if room:
                self._take(connection.read())
            self._send_outbox(connection)
        self._send_outbox(connection)

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_out.recv(4096):
                pass

    def _keep_alive(self, connection: Connection, keepalive: float, *, reading: bool) -> None:
        moment = time.monotonic()
        if reading and moment - connection.heard_at > keepalive * 1.5:
            raise BrokerUnavailable(f"The broker at {self._address} fell silent")
        if moment - connection.sent_at > keepalive / 2:
            connection.send(mqtt5.PingReqPacket().write())

    def _take(self, packets: list[mqtt5.Packet]) -> None:
        publishes: list[mqtt5.PublishPacket] = []
        for packet in packets:
            if isinstance(packet, mqtt5.PublishPacket):
                publishes.append(packet)
            else:
                self._take_other(packet)
        if not publishes:
            return
        moment = self._stamp()
        with self._changed:
            self._inbox.put(publishes, moment)
            self._changed.notify_all()

    def _take_other(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.SubAckPacket(packet_id=number, reason_codes=codes) if number == EXTRAS_PACKET_ID:
                self._extras.answered(codes)
            case mqtt5.SubAckPacket(reason_codes=codes):
                self._subscribed(codes)
            case mqtt5.PingRespPacket():
                with self._changed:
                    self._pongs += 1
                    self._changed.notify_all()
            case mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER):
                raise BrokerRefused(f"Another client connected as {self._client_id!r}: each listener needs its own id")
            case mqtt5.DisconnectPacket(reason_code=code):
                raise BrokerUnavailable(f"The broker at {self._address} hung up: {code.name}")

    def _subscribed(self, codes: list[mqtt5.SubAckReasonCode]) -> None:
        self._session.check(codes)
        with self._changed:
            self._connected = True
            self._trouble = None
            self._outbox.append(self._extras.question())
            self._changed.notify_all()

    def _disconnected(self, trouble: BrokerUnavailable | BrokerRefused) -> None:
        self._extras.connection_lost()
        with self._changed:
            self._connected = False
            self._trouble = trouble
            self._changed.notify_all()

    def _send_outbox(self, connection: Connection) -> None:
        with self._changed:
            frames, self._outbox = self._outbox, []
        if any(frames):
            connection.send(b"".join(frames))
