"""What devices say, read from topics and payloads (wire format of the platform); pure, and never raises.

    amp/{product key}/{device key}/status    {"value": 1, "session": 17, "keepalive": 60}
    amp/{product key}/{device key}/up/attr   {"type": "MATTR", "subtype": "REPORT", "data": {"kv": {…}}}
    amp/{product key}/{device key}/up/event  {"type": "MEVENT", "subtype": "INFO", "data": {…}}
    amp/{product key}/{device key}/up/ack    {"ticket": "…", "status": "succ"}

Whatever breaks a limit or a type is `Refused` with its reason, for the bridge to drop and count (F68, F69).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_SESSION = 64
MAX_TOPIC = 142
"""Characters of the longest topic that can be one of ours. What is longer isn't even kept for its refusal."""
TOPICS_KEPT = 50_000
"""Topics whose reading is remembered, 26 MB of them: a device speaks again and again, on two or three."""
MAX_KEEPALIVE = 65_535
"""Seconds; MQTT's own field is 16 bits wide."""

_KEY = "[A-Za-z0-9_-]{1,64}"
_TOPIC = re.compile(f"amp/({_KEY})/({_KEY})/(?:(status)|up/(attr|event|ack))")
_SESSION = re.compile(r"[\x21-\x7e]{1,64}")


class Refusal(StrEnum):
    """Why a message is dropped."""

    TOPIC = "topic"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    OTHER_DEVICE = "about_another_device"
    STATUS = "status"
    ATTRIBUTES = "attributes"
    EVENT = "event"
    ACK = "ack"


class Source(NamedTuple):
    """Who speaks: the keys in the topic, which the broker has checked against the login."""

    product_key: str
    device_key: str


class Status(NamedTuple):
    """The device came online or went offline. `session` is opaque, `keepalive` in seconds."""

    source: Source
    online: bool
    session: str | None
    keepalive: int | None


class Attr(NamedTuple):
    """Property values by TSL code, as the device sent them."""

    source: Source
    values: dict[str, Any]


class EventReport(NamedTuple):
    """Something happened on the device; `level` is INFO, WARN or ERROR."""

    source: Source
    level: str
    data: dict[str, Any]


class Ack(NamedTuple):
    """The device took the command `ticket`, or refused it (A21)."""

    source: Source
    ticket: UUID
    ok: bool


class Refused(NamedTuple):
    """A message that says nothing we may use."""

    reason: Refusal


Parsed = Status | Attr | EventReport | Ack | Refused


def parse(topic: str, payload: bytes) -> Parsed:
    """Read one message.

    >>> parse("amp/p1/d1/status", b'{"value": 1, "session": 17}')
    Status(source=Source(product_key='p1', device_key='d1'), online=True, session='17', keepalive=None)
    >>> parse("amp/p1/d1/status", b"[]")
    Refused(reason=<Refusal.NOT_AN_OBJECT: 'not_an_object'>)
    """
    address = read_topic(topic)
    if address is None:
        return Refused(Refusal.TOPIC)
    source, kind = address
    body = _body(payload)
    if isinstance(body, Refusal):
        return Refused(body)
    if body.get("productKey", source.product_key) != source.product_key:
        return Refused(Refusal.OTHER_DEVICE)
    if body.get("deviceKey", source.device_key) != source.device_key:
        return Refused(Refusal.OTHER_DEVICE)
    return _READERS[kind](source, body)


def read_topic(topic: str) -> tuple[Source, str] | None:
    """Source and kind ("status", "attr", "event" or "ack") of a topic; None where it isn't one of ours.

    >>> read_topic("amp/p1/d1/up/ack")
    (Source(product_key='p1', device_key='d1'), 'ack')
    """
    return _read_topic(topic) if len(topic) <= MAX_TOPIC else None


@lru_cache(TOPICS_KEPT)
def _read_topic(topic: str) -> tuple[Source, str] | None:
    found = _TOPIC.fullmatch(topic)
    if found is None:
        return None
    product, device, status, uplink = found.groups()
    return Source(product, device), status or uplink


def _body(payload: bytes) -> dict[str, Any] | Refusal:
    if len(payload) > MAX_BYTES:
        return Refusal.TOO_LARGE
    try:
        body = orjson.loads(payload)  # UTF-8 only; gives up at a nesting of 1024, long before any stack ends
    except orjson.JSONDecodeError as error:
        return Refusal.TOO_DEEP if "depth limit" in str(error) else Refusal.NOT_JSON
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and _is_too_deep(body):
        return Refusal.TOO_DEEP
    return body if isinstance(body, dict) else Refusal.NOT_AN_OBJECT


def _is_too_deep(body: Any) -> bool:
    """Whether objects and arrays nest more than 16 deep; peeled level by level, so nothing recurses."""
    level = [body]
    for _ in range(MAX_DEPTH + 1):
        level = [value for value in level if isinstance(value, (dict, list))]
        if not level:
            return False
        level = [inner for value in level for inner in (value.values() if isinstance(value, dict) else value)]
    return True


def _status(source: Source, body: dict[str, Any]) -> Parsed:
    value, session, keepalive = body.get("value"), body.get("session"), body.get("keepalive")
    if not _is_integer(value) or value not in (0, 1):
        return Refused(Refusal.STATUS)
    if session is not None:
        if not (_is_integer(session) or isinstance(session, str)):
            return Refused(Refusal.STATUS)
        session = str(session)
        if not _SESSION.fullmatch(session):
            return Refused(Refusal.STATUS)
    if keepalive is not None and not (_is_integer(keepalive) and 0 <= keepalive <= MAX_KEEPALIVE):
        return Refused(Refusal.STATUS)
    return Status(source, value == 1, session, keepalive or None)


def _attributes(source: Source, body: dict[str, Any]) -> Parsed:
    data = body.get("data")
    if body.get("type") != "MATTR" or body.get("subtype") != "REPORT" or not isinstance(data, dict):
        return Refused(Refusal.ATTRIBUTES)
    values = data.get("kv")
    return Attr(source, values) if isinstance(values, dict) else Refused(Refusal.ATTRIBUTES)


def _event(source: Source, body: dict[str, Any]) -> Parsed:
    level, data = body.get("subtype"), body.get("data", {})
    if body.get("type") != "MEVENT" or level not in ("INFO", "WARN", "ERROR") or not isinstance(data, dict):
        return Refused(Refusal.EVENT)
    return EventReport(source, level, data)


def _ack(source: Source, body: dict[str, Any]) -> Parsed:
    ticket, status = body.get("ticket"), body.get("status")
    if not isinstance(ticket, str) or status not in ("succ", "fail"):
        return Refused(Refusal.ACK)
    try:
        return Ack(source, UUID(ticket), status == "succ")
    except ValueError:
        return Refused(Refusal.ACK)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_READERS = {"status": _status, "attr": _attributes, "event": _event, "ack": _ack}
