"""A raw publisher (prebuilt frames, nothing stored) and queues at the broker, for rows B and C."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import mqtt5

from devices.transports.mqtt import Connection, MqttAddress, connect_packet
from tests.stack.mosquitto import Mosquitto
from tests.stack.waiting import eventually

WINDOW = 1_000
_IDS = 65_535
_SUCCESS = (0x00, 0x10)
_HOUR = 3_600


def frames_of(messages: Sequence[tuple[str, bytes]], *, expiry: int | None = None) -> list[bytes]:
    """Encoded QoS 1 PUBLISH packets."""
    numbers = islice(cycle(range(1, _IDS + 1)), len(messages))
    return [
        mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number, message_expiry_interval=expiry
        ).write()
        for number, (topic, payload) in zip(numbers, messages, strict=True)
    ]


def publish_raw(url: str, frames: Sequence[bytes]) -> None:
    """Send all frames with at most 1,000 unacknowledged, and wait for the last acknowledgement."""
    with _plain_socket(url) as sock:
        sent = acknowledged = 0
        rest = b""
        while acknowledged < len(frames):
            until = min(acknowledged + WINDOW, len(frames))
            if until > sent:
                sock.sendall(b"".join(frames[sent:until]))
                sent = until
            data = rest + sock.recv(65_536)
            count, rest = _pubacks(data)
            acknowledged += count


def open_session(url: str, client_id: str, filters: Sequence[str]) -> None:
    """Make the broker keep what matches `filters` for a client that is away."""
    connection = _connection(url, client_id, session_expiry=_HOUR)
    wanted = [mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for pattern in filters]
    connection.send(mqtt5.SubscribePacket(1, wanted).write())
    packets: list[mqtt5.Packet] = []
    while not any(isinstance(packet, mqtt5.SubAckPacket) for packet in packets):
        connection.wait(5.0)
        packets = connection.read()
    connection.close()


def end_session(url: str, client_id: str) -> None:
    """Let the broker forget this client and what it kept for it."""
    _connection(url, client_id, session_expiry=0).close()


def mosquitto_sub(url: str, client_id: str, filters: Sequence[str], *options: str) -> list[str]:
    """Command line of an independent client on the session of `client_id`."""
    address = MqttAddress.parse(url)
    program = shutil.which("mosquitto_sub")
    if program is None:
        raise RuntimeError("mosquitto_sub is missing: install the package mosquitto-clients.")
    where = ["-h", address.host, "-p", str(address.port), "-u", str(address.username), "-P", str(address.password)]
    topics = [part for pattern in filters for part in ("-t", pattern)]
    return [program, *where, "-V", "mqttv5", "-i", client_id, *topics, *options]


@contextlib.contextmanager
def listening_devices(mosquitto: Mosquitto) -> Iterator[None]:
    """Somebody who takes every command, as the devices would."""
    mine = ("bench-devices", "amp/+/+/down/#")
    before = mosquitto.subscriptions(*mine)
    command = mosquitto_sub(mosquitto.url, mine[0], [mine[1]], "-q", "0")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: mosquitto.subscriptions(*mine) > before, what="the devices' subscription")
        yield
    finally:
        process.terminate()
        process.wait()


def _pubacks(data: bytes) -> tuple[int, bytes]:
    """Number of whole PUBACKs in `data`, and what is left. A short one means success, a longer one says how it went."""
    count = at = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        kind, length = data[at] >> 4, data[at + 1]
        if kind != 4 or (length > 2 and data[at + 4] not in _SUCCESS):
            raise RuntimeError(f"The broker answered {data[at : at + 2 + length]!r}")
        count += 1
        at += 2 + length
    return count, data[at:]


def _plain_socket(url: str) -> socket.socket:
    address = MqttAddress.parse(url)
    sock = socket.create_connection((address.host, address.port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect_packet(address, "bench-publisher").write())
    head = sock.recv(4)
    while len(head) < 2 + head[1]:
        head += sock.recv(2 + head[1] - len(head))
    if head[0] >> 4 != 2 or head[3] != 0:
        raise RuntimeError(f"The broker refused the raw publisher: {head!r}")
    return sock


def _connection(url: str, client_id: str, *, session_expiry: int) -> Connection:
    address = MqttAddress.parse(url)
    return Connection.open(address, connect_packet(address, client_id, session_expiry=session_expiry))
