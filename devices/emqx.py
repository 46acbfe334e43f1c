"""What EMQX 5 tells and asks over HTTP, read; pure, and never raises on what was sent.

Its rules post `client.connected` and `client.disconnected`, one object or a list of them, signed; its authenticator and
its authorizer ask one question each. A device is `{product key}/{device key}`, as user name and as client id alike.
Times are the broker's, in milliseconds (P5); `connected_at` names the session (P2), which EMQX tells at both ends of it
from 5.8.6 on. Whatever breaks the format is refused with its reason, to be counted (F60, F68, F69).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from devices.wire import MAX_KEEPALIVE, Source

MAX_BYTES = 1024 * 1024
"""Of a batch of events: some 3,000 of them."""
MAX_QUESTION_BYTES = 16 * 1024
WINDOW_SECONDS = 300
"""How far a signature's timestamp may be from real time; a repetition within it changes nothing (P2)."""
PASSED_ON = ("takenover", "discarded")
"""Reasons that end a connection because the same device has another one: it does not go offline (P3)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 4_102_444_800_000  # the year 2100
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,11}")
_MILLISECONDS = re.compile(r"[0-9]{1,13}")


class Unreadable(StrEnum):
    """Why an event is dropped."""

    NOT_AN_OBJECT = "not_an_object"
    EVENT = "event"
    CLIENT = "client"
    SESSION = "session"
    TIMESTAMP = "timestamp"


class Told(NamedTuple):
    """One event: `connected_at` is when the session began, `disconnected_at` when it ended, None where it goes on.

    `keepalive` in seconds. The session's name is the broker's number for it.
    """

    source: Source
    session: str
    connected_at: datetime
    disconnected_at: datetime | None = None
    keepalive: int | None = None


class Reading(NamedTuple):
    """A readable batch: events in the order given, refused ones by reason, and how many were passed on (P3)."""

    told: list[Told]
    refused: Counter[str]
    passed_on: int = 0


class Question(NamedTuple):
    """Who wants in, or wants to do `action` (publish or subscribe) with `topic`; text, empty where it wasn't told."""

    username: str = ""
    clientid: str = ""
    password: str = ""
    action: str = ""
    topic: str = ""


def is_signed(body: bytes, *, timestamp: str, signature: str, secret: str, wall: datetime) -> bool:
    """Whether `signature` proves `timestamp` (seconds since 1970) and `body`, not more than five minutes off.

    Two forms, both over `{timestamp}.{body}`. `hmac-sha256=…` is HMAC (RFC 2104) in hex. `nested-sha256=…` is for rules
    of EMQX, whose language has SHA-256 and joins text but has no HMAC: H(secret H(secret "." timestamp "." body)), both
    digests in hex. Its outer hash keeps a longer message from being signed by extension, as HMAC's does.
    """
    message = timestamp.encode("utf-8", "replace") + b"." + body
    key = secret.encode()
    expected = {"hmac-sha256": signed(message, key), "nested-sha256": nested(message, key)}
    scheme, _, given = signature.partition("=")
    is_right = hmac.compare_digest(expected.get(scheme, "").encode(), given.encode("utf-8", "replace"))
    return is_right and scheme in expected and _is_recent(timestamp, wall)


def signed(message: bytes, key: bytes) -> str:
    """HMAC-SHA256 in hex."""
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def nested(message: bytes, key: bytes) -> str:
    """The nested form, in hex."""
    inner = hashlib.sha256(key + b"." + message).hexdigest()
    return hashlib.sha256(key + inner.encode()).hexdigest()


def read_events(body: bytes) -> Reading | None:
    """The events of a body: one object or a list of them; None where it is neither.

    >>> read_events(b'{"event":"client.connected","clientid":"p/d","username":"p/d","connected_at":1}').told[0].session
    '1'
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict | list):
        return None
    reading = Reading([], Counter())
    for event in content if isinstance(content, list) else [content]:
        told = _told(event)
        if isinstance(told, Told):
            reading.told.append(told)
        elif told is None:
            reading = reading._replace(passed_on=reading.passed_on + 1)
        else:
            reading.refused[told.value] += 1
    return reading


def read_question(body: bytes) -> Question | None:
    """What the authenticator or the authorizer asks; None where it isn't an object of texts."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    values = {name: content[name] for name in Question._fields if content.get(name) is not None}
    return Question(**values) if all(isinstance(value, str) for value in values.values()) else None


def source_of(username: str) -> Source | None:
    """The device whose user name this is; None where it can't be one."""
    product, _, device = username.partition("/")
    return Source(product, device) if _KEY.fullmatch(product) and _KEY.fullmatch(device) else None


def device_may(source: Source, action: str, topic: str) -> bool:
    """The ACL of every device, deny by default: publish below `up/` and `status`, subscribe below `down/` (F68).

    The same as the pattern ACL that Mosquitto gets. `topic` is a filter where the action is to subscribe.
    """
    own = f"amp/{source.product_key}/{source.device_key}"
    match action:
        case "publish":
            return not set(topic) & set("+#\0") and (topic == f"{own}/status" or _is_below(topic, f"{own}/up"))
        case "subscribe":
            return _is_below(topic, f"{own}/down")
    return False


def platform_may(action: str, topic: str) -> bool:
    """The platform's own processes read and write everything below `amp/`, also as a shared subscription, and hear how
    long the broker has been running."""
    if (action, topic) == ("subscribe", "$SYS/broker/uptime"):
        return True
    if action == "subscribe" and topic.startswith("$share/"):
        topic = "".join(topic.split("/", 2)[2:])
    return action in {"publish", "subscribe"} and _is_below(topic, "amp")


def _is_below(topic: str, root: str) -> bool:
    """Whether `root/#` matches the topic; MQTT counts the root itself (MQTT 5, section 4.7.1.2)."""
    return topic == root or topic.startswith(f"{root}/")


def _is_recent(timestamp: str, wall: datetime) -> bool:
    return bool(_SECONDS.fullmatch(timestamp)) and abs(int(timestamp) - wall.timestamp()) <= WINDOW_SECONDS


def _told(event: Any) -> Told | Unreadable | None:
    """The event as it counts, why it doesn't, or None for one that ends no presence (P3)."""
    if not isinstance(event, dict):
        return Unreadable.NOT_AN_OBJECT
    kind = event.get("event")
    if kind not in ("client.connected", "client.disconnected"):
        return Unreadable.EVENT
    source = _client(event)
    if source is None:
        return Unreadable.CLIENT
    began = _moment(event.get("connected_at"))
    if began is None:
        return Unreadable.SESSION
    session = str(event["connected_at"])
    if kind == "client.connected":
        return Told(source, session, began, None, _keepalive(event.get("keepalive")))
    if event.get("reason") in PASSED_ON:
        return None
    ended = _moment(event.get("disconnected_at"))
    return Unreadable.TIMESTAMP if ended is None else Told(source, session, began, max(began, ended))


def _client(event: Mapping[str, Any]) -> Source | None:
    username, clientid = event.get("username"), event.get("clientid")
    return source_of(username) if isinstance(username, str) and username == clientid else None


def _moment(value: Any) -> datetime | None:
    """Milliseconds since 1970, as a number or as its digits (a template of EMQX may have quoted them)."""
    if isinstance(value, str) and _MILLISECONDS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LATEST_MS:
        return None
    return _EPOCH + timedelta(milliseconds=value)


def _keepalive(value: Any) -> int | None:
    is_length = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_KEEPALIVE
    return value if is_length else None
