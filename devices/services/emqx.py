"""What EMQX reports and asks, answered from the same tables and by the same calls as the bridge and Mosquitto's files.

Events are told at least once and in any order. Every end of a session tells its beginning too, so that a lost connect
costs nothing; told again, neither changes anything (P2, P6).
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from django.db import transaction
from django.db.models import F

from devices import emqx
from devices.models import Bridge, Device
from devices.online_time import Kind, PresenceEvent, refusal
from devices.services.locating import locate
from devices.services.presence import Heard, record_presence
from devices.services.uplinks import UNKNOWN_DEVICE
from devices.services.waking import wake_commands
from devices.transports.mosquitto import hash_password, password_matches
from devices.wire import Source

BRIDGE = "emqx"
"""The row of bridges that counts what came from EMQX, beside the bridges that listen over MQTT."""
NOBODYS_HASH = hash_password("")
"""What the password of an unknown device is compared with, so that its refusal takes as long as any other."""


class Platform(NamedTuple):
    """The user as whom the platform's own processes connect."""

    username: str
    password: str


def platform_of(mqtt_url: str) -> Platform:
    """User and password in the address of the broker."""
    parts = urlsplit(mqtt_url)
    return Platform(unquote(parts.username or ""), unquote(parts.password or ""))


@transaction.atomic
def record_emqx_events(reading: emqx.Reading, *, shift: timedelta, now: datetime) -> Counter[str]:
    """Take up a batch of events of any number of devices, in one transaction; what was dropped, by reason.

    `shift` is how far the product's time is ahead of the broker's (R8). Devices that connected may be sent to (A21).
    """
    dropped = Counter(reading.refused)
    devices = locate({told.source for told in reading.told})
    heard: list[Heard] = []
    for told in reading.told:
        device = devices.get(told.source)
        if device is None:
            dropped[UNKNOWN_DEVICE] += 1
        else:
            heard += _heard(device.device_id, told, shift, now)
    recorded = record_presence(heard, {one.device_id: one.state for one in devices.values()}, now=now)
    dropped += recorded.refused
    wake_commands(sorted(recorded.alive & {one.device_id for one in heard if _shows_now(one)}), now=now)
    _count(len(reading.told) + reading.passed_on + reading.refused.total(), dropped)
    return dropped


def count_refused(reason: str) -> None:
    """Count a body that was signed and could not be read at all."""
    _count(1, Counter({reason: 1}))


def may_connect(question: emqx.Question, *, platform: Platform) -> bool:
    """Whether user name, client id and password are those of a live device, or of the platform.

    One query and one comparison whoever asks, so that neither the answer's time nor its text tells which devices exist
    (F68, F94). A device's client id is its user name: it can't take the place of another.
    """
    source = emqx.source_of(question.username)
    known = _credential(source) if source and question.username == question.clientid else None
    is_device = password_matches(question.password, known or NOBODYS_HASH) and known is not None
    return is_device or _is_platform(question, platform)


def may_use_topic(question: emqx.Question, *, platform: Platform) -> bool:
    """Whether the connected client may publish to the topic or subscribe to the filter; deny by default.

    One query at most, and none for what no device may do. A device that was terminated, or whose credential was
    revoked, may nothing any more, also over a connection that is still open.
    """
    if platform.username and question.username == platform.username:
        return emqx.platform_may(question.action, question.topic)
    source = emqx.source_of(question.username)
    if source is None or question.username != question.clientid:
        return False
    return emqx.device_may(source, question.action, question.topic) and _credential(source) is not None


def _heard(device_id: int, told: emqx.Told, shift: timedelta, now: datetime) -> Iterator[Heard]:
    began = PresenceEvent(Kind.ONLINE, told.session, told.connected_at + shift, told.keepalive)
    if told.disconnected_at is None:
        yield Heard(device_id, began)
        return
    if not refusal(began, now):  # the beginning of a long session was told when it was young
        yield Heard(device_id, began, again=True)
    yield Heard(device_id, PresenceEvent(Kind.OFFLINE, told.session, told.disconnected_at + shift))


def _shows_now(one: Heard) -> bool:
    return one.event.kind == Kind.ONLINE and not one.again


def _credential(source: Source) -> str | None:
    rows = Device.objects.live().filter(product__key=source.product_key, key=source.device_key)
    digest: str | None = rows.exclude(credential_hash="").values_list("credential_hash", flat=True).first()
    return digest


def _is_platform(question: emqx.Question, platform: Platform) -> bool:
    same_user = hmac.compare_digest(_bytes(question.username), _bytes(platform.username))
    same_password = hmac.compare_digest(_bytes(question.password), _bytes(platform.password))
    return bool(platform.username and platform.password) and same_user and same_password


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _count(received: int, dropped: Counter[str]) -> None:
    """Last in the transaction: all requests count on one row, and hold it only until they commit."""
    changes: dict[str, object] = {"received": F("received") + received}
    if dropped:
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
        changes |= {"dropped": F("dropped") + dropped.total(), "last_dropped": told[:300]}
    if not Bridge.objects.filter(name=BRIDGE).update(**changes):
        Bridge.objects.get_or_create(name=BRIDGE)
        Bridge.objects.filter(name=BRIDGE).update(**changes)
