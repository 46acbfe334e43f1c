"""The child process of the demo's broker: rumqttd, and the port in front of it.

rumqttd has one listener for MQTT 3.1.1 and another for 5, refuses client ids with a slash, and drops a 3.1.1 client
to which it should deliver a message that carries MQTT 5 properties. So this process looks at each CONNECT, checks the
shared password, passes the client on to the right listener under a name rumqttd takes, and removes the properties
from what MQTT 5 clients publish. A 3.1.1 client always gets a clean session: since the expiry of a message is one of
those properties, no old command may wait for it here.

Runs as a script, by `amp/demo/broker.py`, with its settings as one line of JSON on stdin; stdin closing means that the
parent is gone. Imports nothing of the product, so it starts at once.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import iotcore
import mqtt5

_LEVEL_4, _LEVEL_5 = 4, 5
_CONNECT = 0x10
_MAX_CONNECT_BYTES = 70_000
_CHUNK_BYTES = 64 * 1024
_CONNACK_4_REFUSED = b"\x20\x02\x00\x05"
_CONNECT_TIMEOUT_SECONDS = 10

_CONFIGURATION = """
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""
_LISTENER = """
[v{level}.1]
name = "v{level}"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v{level}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 1000
dynamic_filters = true
[v{level}.1.connections.auth]
doorman = "{secret}"
"""


class NotWelcome(Exception):
    """This client isn't let in; `answer` is what it is told first."""

    def __init__(self, answer: bytes = b"") -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True)
class Doorman:
    """Lets clients in on `port` and leads them to the listeners behind."""

    port: int
    password: str
    secret: str
    behind: dict[int, int]

    async def open(self) -> asyncio.Server:
        return await asyncio.start_server(self.receive, "127.0.0.1", self.port, limit=_MAX_CONNECT_BYTES)

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its CONNECT to the end of its connection."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                level, connect = self.admit(await _read_packet(reader))
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.behind[level])
        except NotWelcome as refusal:
            writer.write(refusal.answer)
            writer.close()
            return
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.close()
            return
        broker_writer.write(connect)
        plain = _without_properties() if level == _LEVEL_5 else bytes
        await _both_ways(_pump(reader, broker_writer, plain), _pump(broker_reader, writer, bytes))
        for side in (writer, broker_writer):
            side.close()

    def admit(self, packet: bytes) -> tuple[int, bytes]:
        """The protocol level, and the CONNECT as rumqttd should see it. Raises NotWelcome."""
        with contextlib.suppress(ValueError, IndexError):
            level = packet[packet.index(b"MQTT", 2) + 4] if packet[0] == _CONNECT else 0
            if level == _LEVEL_5:
                return level, self._admit_5(packet)
            if level == _LEVEL_4:
                return level, self._admit_4(packet)
        raise NotWelcome

    def _admit_5(self, packet: bytes) -> bytes:
        connect, _ = mqtt5.read(memoryview(packet))
        if not isinstance(connect, mqtt5.ConnectPacket):
            raise NotWelcome
        if not self._is_password(connect.password or b""):
            code = mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD
            raise NotWelcome(mqtt5.ConnAckPacket(reason_code=code).write())
        will = connect.will and mqtt5.Will(
            connect.will.topic, payload=connect.will.payload, qos=connect.will.qos, retain=connect.will.retain
        )
        return mqtt5.ConnectPacket(
            connect.client_id.replace("/", "."),
            username="doorman",
            password=self.secret.encode(),
            clean_start=connect.clean_start,
            will=will,
            keep_alive=connect.keep_alive,
            session_expiry_interval=connect.session_expiry_interval,
            receive_max=connect.receive_max,
        ).write()

    def _admit_4(self, packet: bytes) -> bytes:
        start = packet.index(b"MQTT", 2) + 5
        flags, keepalive = packet[start], packet[start + 1 : start + 3]
        fields = _fields(packet[start + 3 :])
        client_id = next(fields)
        will = [next(fields), next(fields)] if flags & 0x04 else []
        username = next(fields) if flags & 0x80 else b""
        password = next(fields) if flags & 0x40 else b""
        if not username or not self._is_password(password):
            raise NotWelcome(_CONNACK_4_REFUSED)
        texts = [client_id.replace(b"/", b"."), *will, b"doorman", self.secret.encode()]
        body = b"\x00\x04MQTT\x04" + bytes([flags | 0xC2]) + keepalive
        body += b"".join(len(text).to_bytes(2, "big") + text for text in texts)
        return bytes([_CONNECT]) + _length(len(body)) + body

    def _is_password(self, password: bytes) -> bool:
        return secrets.compare_digest(password, self.password.encode())


async def _read_packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(1)
    size = 0
    for place in range(4):
        digit = await reader.readexactly(1)
        head += digit
        size |= (digit[0] & 0x7F) << 7 * place
        if digit[0] < 0x80:
            break
    if size > _MAX_CONNECT_BYTES:
        raise NotWelcome
    return head + await reader.readexactly(size)


def _fields(data: bytes):
    """The length-prefixed fields of a payload, one after the other; ValueError if it ends too early."""
    at = 0
    while True:
        size = int.from_bytes(data[at : at + 2], "big")
        if at + 2 + size > len(data) or at + 2 > len(data):
            raise ValueError("a field is cut off")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def _length(size: int) -> bytes:
    """A variable byte integer (MQTT 3.1.1, section 2.2.3)."""
    digits = []
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(digits)


def _without_properties() -> Callable[[bytes], bytes]:
    """A filter for one client's stream that rewrites its publishes without properties."""
    rest = b""

    def plain(data: bytes) -> bytes:
        nonlocal rest
        rest += data
        out: list[bytes] = []
        with contextlib.suppress(IndexError):  # the rest of a packet is still on its way
            while rest:
                packet, size = mqtt5.read(memoryview(rest))
                out.append(_plain_packet(packet, rest[:size]))
                rest = rest[size:]
        return b"".join(out)

    return plain


def _plain_packet(packet: mqtt5.Packet, raw: bytes) -> bytes:
    if not isinstance(packet, mqtt5.PublishPacket):
        return raw
    return mqtt5.PublishPacket(
        packet.topic,
        packet.payload,
        qos=packet.qos,
        retain=packet.retain,
        packet_id=packet.packet_id,
        duplicate=packet.duplicate,
    ).write()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(change(data))
            await writer.drain()


async def _both_ways(*pumps) -> None:
    """Until either side hangs up."""
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _start_rumqttd(secret: str) -> dict[int, int]:
    """Start both listeners in threads of this process; protocol level -> port."""
    # Its spans reach Python's logging as errors, one for each packet.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    ports = dict(zip((_LEVEL_4, _LEVEL_5), _free_ports(2), strict=True))
    text = _CONFIGURATION + "".join(
        _LISTENER.format(level=level, port=port, secret=secret) for level, port in ports.items()
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rumqttd.toml"
        path.write_text(text)
        iotcore.IotCoreBroker(config_path=str(path)).start()
    return ports


async def _wait_for(ports: list[int]) -> None:
    async with asyncio.timeout(10):
        for port in ports:
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


async def _serve(port: int, password: str) -> None:
    secret = secrets.token_hex(16)
    ports = _start_rumqttd(secret)
    await _wait_for(list(ports.values()))
    server = await Doorman(port, password, secret, ports).open()
    _say("ready")
    await server.serve_forever()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # rumqttd can't be asked to stop, and keeps nothing that would be lost.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        asyncio.run(_serve(settings["port"], settings["password"]))
    except (OSError, TimeoutError) as error:
        _say(f"{error or 'rumqttd did not start'}")
        os._exit(1)


if __name__ == "__main__":
    main()
