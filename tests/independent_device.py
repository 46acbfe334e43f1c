"""A device that is none of ours: paho-mqtt, the wire contract, and nothing of the product."""

from __future__ import annotations

import json
import queue
from typing import Any

import paho.mqtt.client as paho


class IndependentDevice:
    """Says that it is online, obeys property writes, acknowledges and reports what it then is.

    `values` are its properties, `received` the messages it was told, oldest first.
    """

    def __init__(self, port: int, name: str, password: str) -> None:
        self.name = name
        self.values: dict[str, str] = {"service_lock": "false"}
        self.received: list[dict[str, Any]] = []
        self._session = 0
        self._port, self._password = port, password
        self._mqtt: paho.Client | None = None

    @property
    def is_locked(self) -> bool:
        return self.values["service_lock"] == "true"

    @property
    def generations(self) -> list[int]:
        return [message["generation"] for message in self.received]

    def come_online(self) -> IndependentDevice:
        """Connect with a last will, subscribe, and say so; returns once the broker has it all."""
        self._session += 1
        subscribed: queue.Queue[None] = queue.Queue()
        mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv311)
        mqtt.username_pw_set(self.name, self._password)
        mqtt.will_set(self._topic("status"), self._status(0), qos=1, retain=True)
        mqtt.on_connect = lambda *_: mqtt.subscribe(self._topic("down/#"), 1)
        mqtt.on_subscribe = lambda *_: subscribed.put(None)
        mqtt.on_message = lambda _client, _data, message: self._obey(json.loads(message.payload))
        self._mqtt = mqtt
        mqtt.connect("127.0.0.1", self._port)
        mqtt.loop_start()
        subscribed.get(timeout=10)
        mqtt.publish(self._topic("status"), self._status(1), 1, retain=True).wait_for_publish(10)
        return self

    def say(self, tail: str, body: Any) -> None:
        """Publish anything under the device's own topics."""
        assert self._mqtt is not None
        payload = body if isinstance(body, bytes) else json.dumps(body)
        self._mqtt.publish(self._topic(tail), payload, 1).wait_for_publish(10)

    def go_offline(self) -> None:
        """Say goodbye and disconnect; harmless when it is offline."""
        if self._mqtt is None:
            return
        self._mqtt.publish(self._topic("status"), self._status(0), 1, retain=True).wait_for_publish(10)
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
        self._mqtt = None

    def _obey(self, message: dict[str, Any]) -> None:
        self.received.append(message)
        self.values |= message["data"]["kv"]
        assert self._mqtt is not None
        self._mqtt.publish(self._topic("up/ack"), json.dumps({"ticket": message["ticket"], "status": "succ"}), 1)
        report = {"ticket": "r", "type": "MATTR", "subtype": "REPORT", "data": {"kv": self.values}}
        self._mqtt.publish(self._topic("up/attr"), json.dumps(report), 1)

    def _topic(self, tail: str) -> str:
        return f"amp/{self.name}/{tail}"

    def _status(self, value: int) -> str:
        return json.dumps({"value": value, "session": self._session})
