"""Simulated devices: they come online, report, obey lock and unlock, and can be told to leave and come back.

Each device is one MQTT 5 connection on asyncio, all of them in one thread. They know the topics and payloads of the
wire contract and nothing of the product, as real devices do.
"""

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Coroutine, Iterable
from typing import Any

import mqtt5

from amp.demo.simulated_device import KEEPALIVE_SECONDS, SimulatedDevice
from devices.transports.mqtt import MqttAddress

log = logging.getLogger(__name__)

_CHUNK_BYTES = 64 * 1024
_LONGEST_BACK_OFF_SECONDS = 10.0


class Simulator:
    """Runs devices against one broker until `stop`; call its methods from any thread.

    `password` is every device's. Devices that lose the broker come back by themselves, with a new session.
    """

    def __init__(
        self, address: MqttAddress, devices: Iterable[SimulatedDevice], *, password: str, report_every: float = 60.0
    ) -> None:
        """`report_every` is the mean time between two reports of a device, in seconds."""
        self._address = address
        self._password = password
        self._report_every = report_every
        self.devices = {device.name: device for device in devices}
        self._wanted: dict[str, bool] = {name: device.online for name, device in self.devices.items()}
        self._connected: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lives: dict[str, _Life] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)

    def start(self) -> None:
        """Connect all devices that should be online; returns at once."""
        self._thread.start()
        for name, wanted in list(self._wanted.items()):
            if wanted:
                self.go_online(name)

    def stop(self) -> None:
        """All devices say goodbye and disconnect. Do this before the broker is stopped."""
        if not self._thread.is_alive():
            return
        for name in self.devices:
            self._wanted[name] = False
        self._call(self._all_off())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, device: SimulatedDevice) -> None:
        """One more device while running."""
        self.devices[device.name] = device
        if device.online:
            self.go_online(device.name)

    def go_online(self, name: str) -> None:
        """Connect the device, unless it is connected; it keeps trying until `go_offline`."""
        self._wanted[name] = True
        self._call(self._on(name))

    def go_offline(self, name: str) -> None:
        """The device reports that it leaves, and disconnects."""
        self._wanted[name] = False
        self._call(self._off(name))

    def cut(self, name: str) -> None:
        """Break the device's connection without a word, and keep it away: the broker publishes its last will."""
        self._wanted[name] = False
        self._call(self._break(name))

    def report(self, name: str) -> None:
        """The device reports all its properties now, if it is connected."""
        self._call(self._report(name))

    def is_connected(self, name: str) -> bool:
        return name in self._connected

    def connected(self) -> int:
        """How many devices are connected now."""
        return len(self._connected)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _on(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is None or task.done():
            self._tasks[name] = self._loop.create_task(self._keep(self.devices[name]))

    async def _off(self, name: str) -> None:
        if life := self._lives.get(name):
            await life.leave()
        await self._end(name)

    async def _all_off(self) -> None:
        await asyncio.gather(*(self._off(name) for name in self.devices))

    async def _break(self, name: str) -> None:
        if life := self._lives.get(name):
            life.cut()
        await self._end(name)

    async def _report(self, name: str) -> None:
        if (life := self._lives.get(name)) and name in self._connected:
            await life.publish(life.device.topic("up/attr"), life.device.report())

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self, device: SimulatedDevice) -> None:
        delay = 0.2
        while self._wanted[device.name]:
            try:
                await self._live(device)
                delay = 0.2
            except (OSError, EOFError, ValueError) as error:
                log.info("Simulated device %s: %s", device.name, error)
            await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311 - jitter
            delay = min(delay * 2, _LONGEST_BACK_OFF_SECONDS)

    async def _live(self, device: SimulatedDevice) -> None:
        device.session += 1
        life = await _Life.begin(device, self._address, self._password)
        self._lives[device.name] = life
        try:
            await life.come_online()
            self._connected.add(device.name)
            await life.run(self._report_every)
        finally:
            self._connected.discard(device.name)
            self._lives.pop(device.name, None)
            life.cut()


class _Life:
    """One connection of one device."""

    def __init__(self, device: SimulatedDevice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.device = device
        self._reader = reader
        self._writer = writer
        self._rest = b""
        self._last_id = 0

    @classmethod
    async def begin(cls, device: SimulatedDevice, address: MqttAddress, password: str) -> "_Life":
        """Connect with the last will, and wait for the broker's yes. OSError or EOFError if it doesn't come."""
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.tls or None)
        life = cls(device, reader, writer)
        will = mqtt5.Will(device.topic("status"), payload=device.status(0), qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)
        greeting = mqtt5.ConnectPacket(
            device.name,
            username=device.name,
            password=password.encode(),
            clean_start=True,
            will=will,
            keep_alive=KEEPALIVE_SECONDS,
        )
        writer.write(greeting.write())
        answer = (await life._read())[0]
        if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            life.cut()
            raise ConnectionRefusedError(f"the broker refused {device.name}")
        return life

    async def come_online(self) -> None:
        """Listen first, then say so, then report everything: a lock is known as soon as the device is back."""
        filters = [mqtt5.TopicFilter(self.device.topic("down/#"), max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
        self._writer.write(mqtt5.SubscribePacket(self._next_id(), filters).write())
        await self.publish(self.device.topic("status"), self.device.status(1), retain=True)
        await self.publish(self.device.topic("up/attr"), self.device.report())

    async def run(self, report_every: float) -> None:
        """Listen, report and keep alive until the connection ends."""
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._keep_alive()), group.create_task(self._report(report_every))]
            try:
                await self._listen()
            except (OSError, EOFError, ValueError) as error:
                log.info("Simulated device %s: %s", self.device.name, error)
            for helper in helpers:
                helper.cancel()

    async def _listen(self) -> None:
        while True:
            for packet in await self._read():
                if isinstance(packet, mqtt5.PublishPacket):
                    await self._receive(packet)

    async def _receive(self, packet: mqtt5.PublishPacket) -> None:
        if packet.packet_id is not None:
            self._writer.write(mqtt5.PubAckPacket(packet.packet_id).write())
        if not self.device.obeys or packet.topic != self.device.topic("down/attr"):
            return
        with contextlib.suppress(
            ValueError, KeyError, TypeError, AttributeError
        ):  # a device ignores what it can't read
            for topic, payload in self.device.obey(packet.payload):
                await self.publish(topic, payload)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEPALIVE_SECONDS / 2)
            self._writer.write(mqtt5.PingReqPacket().write())

    async def _report(self, every: float) -> None:
        while True:
            await asyncio.sleep(random.uniform(every / 2, every * 1.5))  # noqa: S311 - jitter
            await self.publish(self.device.topic("up/attr"), self.device.report())

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        packet = mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=self._next_id()
        )
        self._writer.write(packet.write())
        await self._writer.drain()

    async def leave(self) -> None:
        """Say offline, then goodbye, so that the last will isn't needed."""
        with contextlib.suppress(OSError):
            await self.publish(self.device.topic("status"), self.device.status(0), retain=True)
            self._writer.write(mqtt5.DisconnectPacket().write())
            await self._writer.drain()
            self._writer.close()

    def cut(self) -> None:
        if not self._writer.is_closing():
            self._writer.transport.abort()

    async def _read(self) -> list[mqtt5.Packet]:
        packets: list[mqtt5.Packet] = []
        while not packets:
            data = await self._reader.read(_CHUNK_BYTES)
            if not data:
                raise EOFError("the broker hung up")
            self._rest += data
            with contextlib.suppress(IndexError):  # the rest of a packet is still on its way
                while self._rest:
                    packet, size = mqtt5.read(memoryview(self._rest))
                    packets.append(packet)
                    self._rest = self._rest[size:]
        return packets

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65535 + 1
        return self._last_id
