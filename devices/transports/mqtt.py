"""One MQTT 5 connection: the address, the socket and the packets in and out. Used by the listener and the publisher.

The packets themselves are coded by `mqtt5`; this file adds what that library leaves out: TCP or TLS, time limits,
the CONNECT exchange, and errors in our words. A connection belongs to one thread at a time.
"""

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

import mqtt5

from devices.transports.base import BrokerRefused, BrokerUnavailable

DEFAULT_WINDOW = 1000
"""Messages that may be unacknowledged at once; the broker must allow as many."""

MAX_PACKET_BYTES = 1024 * 1024
"""We tell the broker to keep larger messages to itself; the product's own limit (64 KB) is far below and is counted."""

_CHUNK_BYTES = 256 * 1024
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """Where the broker is and who we are there."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `mqtt://user:password@host:port`, or `mqtts://` for TLS; ports default to 1883 and 8883.

        A `/`, `:` or `@` inside the user name or password is percent-encoded. Raises ValueError, which never quotes
        the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("An MQTT address starts with mqtt:// or mqtts://")
        try:
            port = parts.port or _DEFAULT_PORTS[parts.scheme]
        except ValueError:
            raise ValueError("The port of an MQTT address is a number from 1 to 65535") from None
        if not parts.hostname:
            raise ValueError("An MQTT address names a host: mqtt://user:password@host:port")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("An MQTT address ends after the port")
        return cls(
            host=parts.hostname,
            port=port,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=parts.scheme == "mqtts",
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection:
    """An open connection: bytes that wait to be written, packets that were read."""

    def __init__(self, sock: socket.socket, address: MqttAddress) -> None:
        self._sock = sock
        self._address = address
        self._unsent = b""
        self._rest = b""
        self._early: list[mqtt5.Packet] = []
        self.connack = mqtt5.ConnAckPacket()
        self.heard_at = time.monotonic()
        self.sent_at = self.heard_at

    @classmethod
    def open(
        cls,
        address: MqttAddress,
        greeting: mqtt5.ConnectPacket,
        *,
        window: int = 1,
        timeout: float = 5.0,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect, say `greeting` and wait for the broker's answer, `timeout` seconds in all.

        Raises BrokerUnavailable, or BrokerRefused if it rejects us or allows fewer than `window` unacknowledged
        messages.
        """
        deadline = time.monotonic() + timeout
        connection = cls(_dial(address, timeout, tls), address)
        try:
            connection.send(greeting.write())
            connection._await_connack(deadline)
            connection._require_window(window)
        except BaseException:
            connection.abort()
            raise
        return connection

    def _await_connack(self, deadline: float) -> None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnavailable(f"The broker at {self._address} didn't answer in time")
            self.wait(left)
            match self.read():
                case []:
                    continue
                case [mqtt5.ConnAckPacket() as connack, *early]:
                    self.connack, self._early = connack, early
                    break
                case _:
                    raise BrokerRefused(f"The server at {self._address} doesn't answer as an MQTT 5 broker does")
        if connack.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise _refusal(self._address, connack)

    def _require_window(self, window: int) -> None:
        allowed = self.connack.receive_max
        if allowed < window:
            raise BrokerRefused(
                f"The broker at {self._address} allows {allowed} unacknowledged messages, {window} are needed: raise "
                "its receive maximum (Mosquitto: max_inflight_messages 0; EMQX: mqtt.max_inflight)"
            )

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, data: bytes) -> None:
        """Write what the socket takes now and keep the rest for `flush`; never blocks."""
        self._unsent = self._unsent + data if self._unsent else data
        self.sent_at = time.monotonic()
        self.flush()

    def flush(self) -> None:
        """Go on writing what waits."""
        view = memoryview(self._unsent)
        sent = 0
        try:
            while sent < len(view):
                sent += self._sock.send(view[sent : sent + _CHUNK_BYTES])
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            raise self._lost(error) from error
        self._unsent = bytes(view[sent:])

    def wait(self, timeout: float, wake: socket.socket | None = None, *, reading: bool = True) -> None:
        """Return when there is something to read, room for what waits to be written, a byte in `wake`, or no time."""
        if self._early or (reading and isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            return
        poll = select.poll()
        poll.register(self._sock, (select.POLLIN if reading else 0) | (select.POLLOUT if self._unsent else 0))
        if wake is not None:
            poll.register(wake, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)
        if self._unsent:
            self.flush()

    def read(self) -> list[mqtt5.Packet]:
        """The packets that have come in whole, possibly none; never blocks."""
        if self._early:
            early, self._early = self._early, []
            return early
        try:
            chunk = self._sock.recv(_CHUNK_BYTES)
        except _WOULD_BLOCK:
            return []
        except OSError as error:
            raise self._lost(error) from error
        if not chunk:
            raise BrokerUnavailable(f"The broker at {self._address} closed the connection")
        self.heard_at = time.monotonic()
        return self._decode(self._rest + chunk)

    def _decode(self, data: bytes) -> list[mqtt5.Packet]:
        packets: list[mqtt5.Packet] = []
        view, at = memoryview(data), 0
        try:
            while at < len(view):
                packet, size = mqtt5.read(view[at:])
                packets.append(packet)
                at += size
        except IndexError:
            pass  # the rest of this packet is still on its way
        except ValueError as error:
            raise BrokerRefused(f"The server at {self._address} doesn't speak MQTT 5: {error}") from error
        self._rest = data[at:]
        if len(self._rest) > 2 * MAX_PACKET_BYTES:
            raise BrokerRefused(f"The broker at {self._address} sends packets above the limit it was given")
        return packets

    def close(self, *, linger: float = 2.0) -> None:
        """Say goodbye and hang up; the session stays as long as its expiry says.

        Waits up to `linger` seconds for the broker to hang up first: by then it has read everything before the
        goodbye. Acknowledgements that it had not read when the next connection took the session over would be lost.
        """
        deadline = time.monotonic() + linger
        with contextlib.suppress(BrokerUnavailable, BrokerRefused):
            self.send(mqtt5.DisconnectPacket().write())
            while (left := deadline - time.monotonic()) > 0:
                self.wait(left)
                self.read()
        self.abort()

    def abort(self) -> None:
        """Hang up without a word."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _lost(self, error: OSError) -> BrokerUnavailable:
        return BrokerUnavailable(f"Lost the connection to the broker at {self._address}: {error}")


def _dial(address: MqttAddress, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
    try:
        sock = socket.create_connection((address.host, address.port), timeout=timeout)
    except OSError as error:
        raise BrokerUnavailable(f"Can't reach the broker at {address}: {error}") from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.tls:
            sock = (tls or ssl.create_default_context()).wrap_socket(sock, server_hostname=address.host)
        sock.setblocking(False)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise BrokerRefused(f"The certificate of the broker at {address} isn't trusted: {error}") from error
    except OSError as error:
        sock.close()
        raise BrokerUnavailable(f"Can't set up the connection to the broker at {address}: {error}") from error
    return sock


def _refusal(address: MqttAddress, connack: mqtt5.ConnAckPacket) -> BrokerRefused | BrokerUnavailable:
    code = connack.reason_code
    words = connack.reason_str or code.name.lower().replace("_", " ")
    text = f"The broker at {address} refused the connection: {words}"
    busy = (mqtt5.ConnAckReasonCode.SERVER_UNAVAILABLE, mqtt5.ConnAckReasonCode.SERVER_BUSY)
    return BrokerUnavailable(text) if code in busy else BrokerRefused(text)


def connect_packet(
    address: MqttAddress, client_id: str, *, keepalive: int = 0, session_expiry: int = 0
) -> mqtt5.ConnectPacket:
    """The CONNECT of one of our own clients: a lasting session if `session_expiry` (seconds) isn't 0."""
    return mqtt5.ConnectPacket(
        client_id,
        username=address.username,
        password=None if address.password is None else address.password.encode(),
        clean_start=session_expiry == 0,
        keep_alive=keepalive,
        session_expiry_interval=session_expiry,
        max_packet_size=MAX_PACKET_BYTES,
    )
