"""A broker of our own for these tests, which kill it; and devices that are plain paho clients."""

import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_inbox import Batch, Message
from devices.transports.mqtt_listener import MqttListener
from tests.stack.mosquitto import Mosquitto
from tests.stack.waiting import eventually

UPLINKS = ("amp/+/+/up/#", "amp/+/+/status")
DEVICE_PASSWORD = "device-secret"


class Client:
    """An independent MQTT client: collects what it receives."""

    def __init__(self, port: int, username: str, password: str, *, client_id: str = "", **options: Any) -> None:
        self.received: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.outcome: queue.Queue[int] = queue.Queue()
        self.is_5 = options.get("protocol") == paho.MQTTv5
        clean = options.pop("clean_session", None)
        self._expiry = 0 if clean is not False else 3600
        if not self.is_5:
            options["clean_session"] = clean
        will = options.pop("will", None)
        self.mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id or username, reconnect_on_failure=False, **options
        )
        self.mqtt.username_pw_set(username, password)
        if will:
            self.mqtt.will_set(*will, qos=1, retain=True)
        self.mqtt.on_message = lambda _client, _data, message: self.received.put(message)
        self.mqtt.on_connect = lambda _client, _data, _flags, reason, _properties: self.outcome.put(reason.value)
        self._subscribed: queue.Queue[Any] = queue.Queue()
        self.mqtt.on_subscribe = lambda *arguments: self._subscribed.put(arguments)
        self._port = port

    def connect(self) -> int:
        """Connect and return the broker's reason code, 0 for yes."""
        options: dict[str, Any] = {}
        if self.is_5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self._expiry
            options = {"clean_start": self._expiry == 0, "properties": properties}
        self.mqtt.connect("127.0.0.1", self._port, **options)
        self.mqtt.loop_start()
        return self.outcome.get(timeout=30)

    def subscribe(self, topic: str) -> None:
        self.mqtt.subscribe(topic, 1)
        self._subscribed.get(timeout=30)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self.mqtt.publish(topic, payload, 1, retain).wait_for_publish(30)

    def next(self, timeout: float = 30) -> paho.MQTTMessage:
        return self.received.get(timeout=timeout)

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A Mosquitto with production's configuration; device `pk/a` and `pk/b` may log in."""
    yield from _started(tmp_path_factory.mktemp("broker"))


@pytest.fixture
def fragile_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that a test may kill."""
    yield from _started(tmp_path)


def _started(directory: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(directory=directory)
    mosquitto.start()
    try:
        for name in ("pk/a", "pk/b"):
            mosquitto.add_user(name, DEVICE_PASSWORD)
        mosquitto.reload()
        yield mosquitto
    finally:
        mosquitto.stop()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Makes independent clients and disconnects them at the end."""
    clients: list[Client] = []

    def make(*arguments: Any, **options: Any) -> Client:
        clients.append(Client(*arguments, **options))
        return clients[-1]

    yield make
    for one in clients:
        one.close()


@pytest.fixture
def device(client: Callable[..., Client], broker: Mosquitto) -> Client:
    """The device `pk/a`, connected."""
    one = client(broker.port, "pk/a", DEVICE_PASSWORD)
    assert one.connect() == 0
    return one


_sessions = count()


@pytest.fixture
def session_id() -> str:
    """A client id that no other test uses."""
    return f"test-bridge-{next(_sessions)}"


@pytest.fixture
def listen(broker: Mosquitto, session_id: str) -> Iterator[Callable[..., MqttListener]]:
    """Opens listeners on one lasting session and closes them at the end."""
    opened: list[MqttListener] = []

    def make(**options: Any) -> MqttListener:
        options = {"client_id": session_id, "filters": UPLINKS, "stamp": ticking_clock(), **options}
        address = options.pop("address", MqttAddress.parse(broker.url))
        opened.append(MqttListener(address, **options))
        return opened[-1].open(timeout=60)

    yield make
    for one in opened:
        one.close()


def ticking_clock() -> Callable[[], datetime]:
    """A clock that moves a second each time it is read."""
    seconds = count()
    return lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))


def take(listener: MqttListener, wanted: int = 1, *, ack: bool = True, retained: bool = False) -> list[Message]:
    """The next messages, `wanted` of them at least, without what other tests left retained unless asked for."""
    messages: list[Message] = []
    batches: list[Batch] = []

    def enough() -> bool:
        batch = listener.next_batch(timeout=0.1)
        if batch is not None:
            messages.extend(message for message in batch.messages if retained or not message.retained)
            batches.append(batch)
        return len(messages) >= wanted

    eventually(enough, within=60, what=f"{wanted} messages")
    if ack:
        for batch in batches:
            batch.ack()
    return messages
