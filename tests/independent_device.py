"""A device that is none of ours: paho-mqtt, the wire contract, and nothing of the product."""

from __future__ import annotations

import json
import queue
from itertools import groupby
from typing import Any

import paho.mqtt.client as paho

PATIENCE = 30
"""Seconds for one answer of the broker."""


class IndependentDevice:
    """Says that it is online, obeys property writes, acknowledges and reports what it then is.

    A `mute` one says nothing when it is told something. `values` are its properties, `messages` what it received and
    `received` their documents, oldest first; `session` counts its connections, as firmware does.
    """

    def __init__(self, port: int, name: str, password: str, *, mute: bool = False) -> None:
        """`name` is `{productKey}/{deviceKey}`, by which it also logs in."""
        self.name = name
        self.mute = mute
        self.session = 0
        self.values: dict[str, str] = {"service_lock": "false"}
        self.messages: list[paho.MQTTMessage] = []
        self.received: list[dict[str, Any]] = []
        self._port, self._password = port, password
        self._mqtt: paho.Client | None = None

    @property
    def is_locked(self) -> bool:
        return self.values["service_lock"] == "true"

    @property
    def generations(self) -> list[int]:
        """Generations of the commands in the order of their arrival; one that was sent again counts once (A21)."""
        return [generation for generation, _ in groupby(message["generation"] for message in self.received)]

    def come_online(self) -> IndependentDevice:
        """Connect with a last will, subscribe, and say so; returns once the broker has it all."""
        self.session += 1
        subscribed: queue.Queue[None] = queue.Queue()
        mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv311)
        mqtt.username_pw_set(self.name, self._password)
        mqtt.will_set(self.topic("status"), self.status(0), qos=1, retain=True)
        mqtt.on_connect = lambda *_: mqtt.subscribe(self.topic("down/#"), 1)
        mqtt.on_subscribe = lambda *_: subscribed.put(None)
        mqtt.on_message = lambda _client, _data, message: self._take(message)
        self._mqtt = mqtt
        mqtt.connect("127.0.0.1", self._port)
        mqtt.loop_start()
        subscribed.get(timeout=PATIENCE)
        self.say("status", self.status(1), retain=True)
        return self

    def say(self, tail: str, body: Any, *, retain: bool = False, name: str | None = None) -> None:
        """Publish anything under the device's own topics, or under those of another; text and bytes go as they are."""
        payload = body if isinstance(body, str | bytes) else json.dumps(body)
        self._client.publish(self.topic(tail, name), payload, 1, retain).wait_for_publish(PATIENCE)

    def report(self, **values: str) -> None:
        """Report properties, by default all of them."""
        self.say("up/attr", _report(values or self.values))

    def go_offline(self) -> None:
        """Say goodbye and disconnect; harmless when it is offline."""
        if self._mqtt is not None:
            self.say("status", self.status(0), retain=True)
            self.hang_up()

    def hang_up(self) -> None:
        """Disconnect in order, without a goodbye and without a last will; harmless when it is offline."""
        if self._mqtt is not None:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()
            self._mqtt = None

    def vanish(self) -> None:
        """Break the connection without a word: the broker publishes the last will."""
        self._client.socket().close()
        self._client.loop_stop()
        self._mqtt = None

    def freeze(self) -> None:
        """Stop reading and writing; the broker hears nothing of it."""
        self._client.loop_stop()

    def topic(self, tail: str, name: str | None = None) -> str:
        return f"amp/{name or self.name}/{tail}"

    def status(self, value: int) -> str:
        """The document that says online (1) or offline (0), with the current session."""
        return json.dumps({"value": value, "session": self.session})

    @property
    def _client(self) -> paho.Client:
        assert self._mqtt is not None, f"{self.name} is offline"
        return self._mqtt

    def _take(self, message: paho.MQTTMessage) -> None:
        """On paho's own thread, which must not wait for the broker."""
        told = json.loads(message.payload)
        self.messages.append(message)
        self.values |= told["data"]["kv"]
        self.received.append(told)
        if not self.mute:
            self._client.publish(self.topic("up/ack"), json.dumps({"ticket": told["ticket"], "status": "succ"}), 1)
            self._client.publish(self.topic("up/attr"), json.dumps(_report(self.values)), 1)


def _report(values: dict[str, str]) -> dict[str, Any]:
    return {"ticket": "r", "type": "MATTR", "subtype": "REPORT", "data": {"kv": values}}
