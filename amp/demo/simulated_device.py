"""What one simulated device is and says: topics and payloads of the wire contract, no connection."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

KEEPALIVE_SECONDS = 30


@dataclass
class SimulatedDevice:
    """One device: who it is, what it knows, and how it is doing.

    `properties` are its readable values by TSL code, as strings ("true", "3"); a command changes them. `readings`
    give a lowest and a highest value to properties that wander. `obeys = False` plays a device that hears and ignores.
    """

    product_key: str
    device_key: str
    properties: dict[str, str] = field(default_factory=lambda: {"service_lock": "false"})
    readings: dict[str, tuple[float, float]] = field(default_factory=dict)
    online: bool = True
    obeys: bool = True
    session: int = field(default_factory=lambda: random.randrange(1, 2**31))  # noqa: S311 - a counter's start
    generation: int = 0
    commands_obeyed: int = 0

    @property
    def name(self) -> str:
        """User name and client id: `{productKey}/{deviceKey}`."""
        return f"{self.product_key}/{self.device_key}"

    def topic(self, tail: str) -> str:
        return f"amp/{self.name}/{tail}"

    def status(self, value: int) -> bytes:
        return _json({"value": value, "session": self.session, "keepalive": KEEPALIVE_SECONDS})

    def obey(self, payload: bytes) -> list[tuple[str, bytes]]:
        """Do what a `down/attr` message says; return what to publish: the ack, then the values as they are now.

        A command older than the last one (by generation) changes nothing and is acknowledged as failed.
        """
        command = json.loads(payload)
        ticket, generation = command["ticket"], int(command.get("generation", 0))
        values = command["data"]["kv"]
        current = generation >= self.generation
        if current:
            self.generation = generation
            self.properties.update(values)
            self.commands_obeyed += 1
        ack = _json({"ticket": ticket, "status": "succ" if current else "fail"})
        return [
            (self.topic("up/ack"), ack),
            (self.topic("up/attr"), self.report({code: self.properties[code] for code in values} if current else None)),
        ]

    def report(self, values: dict[str, str] | None = None) -> bytes:
        """A REPORT of `values`, or of everything the device knows."""
        for code, (low, high) in self.readings.items():
            self.properties[code] = f"{random.uniform(low, high):.1f}"  # noqa: S311 - a made-up reading
        kv = self.properties if values is None else values
        ticket = f"r{random.getrandbits(64):016x}"
        return _json({"ticket": ticket, "type": "MATTR", "subtype": "REPORT", "data": {"kv": kv}})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
