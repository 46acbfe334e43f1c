"""What comes from the broker, applied: one call for a batch of messages of any number of devices.

Messages that break the format, speak for unknown devices or come too fast are dropped and counted; a message that our
own code can't handle is found and dropped alone, so that it never blocks the others (F15, F69).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from amp.foundation.literals import array_of
from amp.foundation.services.failures import is_database_trouble
from devices import wire
from devices.online_time import Kind, PresenceEvent
from devices.services.commands import apply_acks, confirm_by_reports
from devices.services.lock_reports import Report, read_reports, store_reported
from devices.services.presence import Heard, record_presence
from devices.services.waking import wake_commands

log = logging.getLogger(__name__)

_ONLINE, _OFFLINE, _UPLINK = Kind.ONLINE, Kind.OFFLINE, Kind.UPLINK  # looked up once, for messages are many

FAIR_SHARE = {"status": 500, "attr": 100, "event": 100}
"""Messages of one device on one topic that a batch takes, the newest; acks are all taken. A flood from one device costs
the others next to nothing: what is over is dropped unread, and the newest messages tell how the device is now."""

UNKNOWN_DEVICE = "unknown_device"
FLOOD = "flood"
UNEXPECTED = "unexpected"

_LOCATE = """
    SELECT product.key, device.key, device.id, device.product_id
    FROM {keys}
    JOIN catalog_product product ON product.key = {product_key}
    JOIN devices_device device ON device.product_id = product.id AND device.key = {device_key}
    WHERE device.terminated_at IS NULL
"""


class Inbound(NamedTuple):
    """One message as it came off the socket, stamped `at` there (P5).

    `retained`: the broker had stored it before we subscribed, so it tells a state, not an event (P4). `again`: it was
    delivered before and not acknowledged. `kept_since`: when contact with the broker was lost, where the message may
    have waited there since then.
    """

    topic: str
    payload: bytes
    retained: bool
    at: datetime
    again: bool = False
    kept_since: datetime | None = None


@dataclass(slots=True)
class Applied:
    """What became of a batch: messages by kind, and dropped ones by reason."""

    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, other: Applied) -> None:
        """Count another part of the same batch."""
        self.counts += other.counts
        self.dropped += other.dropped


class Located(NamedTuple):
    """A live device."""

    device_id: int
    product_id: int


class _Said(NamedTuple):
    device: Located
    message: Inbound
    parsed: wire.Status | wire.Attr | wire.EventReport | wire.Ack


@transaction.atomic
def apply_batch(messages: Sequence[Inbound], *, now: datetime, last_contact: datetime | None = None) -> Applied:
    """Apply messages in one transaction: presence, reports, acks, and what now may be sent to these devices.

    `last_contact` is when the broker was known alive before contact with it was last lost, if it ever was (P4).

    Applying the same messages again changes nothing (F02, F56). Raises only what the database raises about itself
    (connection, deadlock, missing table): then nothing was applied, and the same batch may be tried again.
    """
    applied = Applied()
    _apply_or_halve(_fair(messages, applied), applied, now, last_contact)
    return applied


def locate(sources: Iterable[wire.Source]) -> dict[wire.Source, Located]:
    """The live devices among `sources`; one query."""
    wanted = list(sources)
    if not wanted:
        return {}
    if connection.vendor == "postgresql":
        keys = "unnest(%s::text[], %s::text[]) AS wanted(product_key, device_key)"
        parts = {"keys": keys, "product_key": "wanted.product_key", "device_key": "wanted.device_key"}
        parameters: list[Any] = [array_of(column) for column in zip(*wanted, strict=True)]
    else:
        parts = {
            "keys": "json_each(%s) AS wanted",
            "product_key": "json_extract(wanted.value, '$[0]')",
            "device_key": "json_extract(wanted.value, '$[1]')",
        }
        parameters = [json.dumps(wanted)]
    with connection.cursor() as cursor:
        cursor.execute(_LOCATE.format(**parts), parameters)
        return {wire.Source(row[0], row[1]): Located(row[2], row[3]) for row in cursor.fetchall()}


def _fair(messages: Sequence[Inbound], applied: Applied) -> Sequence[Inbound]:
    if len(messages) <= min(FAIR_SHARE.values()):
        return messages
    seen: Counter[str] = Counter()
    kept = []
    for message in reversed(messages):
        topic = message.topic
        seen[topic] += 1
        if seen[topic] <= FAIR_SHARE.get(topic.rpartition("/")[2], len(messages)):
            kept.append(message)
    if len(kept) < len(messages):
        applied.dropped[FLOOD] += len(messages) - len(kept)
    kept.reverse()
    return kept


def _apply_or_halve(
    messages: Sequence[Inbound], applied: Applied, now: datetime, last_contact: datetime | None
) -> None:
    """Where a batch fails for no reason of the database's own, its halves are tried, until the fault stands alone."""
    try:
        with transaction.atomic():
            part = _apply(messages, now, last_contact)
    except Exception as failure:
        if is_database_trouble(failure):
            raise
        if len(messages) == 1:
            log.exception("A message on %s could not be applied and was dropped.", messages[0].topic)
            applied.dropped[UNEXPECTED] += 1
            return
        middle = len(messages) // 2
        _apply_or_halve(messages[:middle], applied, now, last_contact)
        _apply_or_halve(messages[middle:], applied, now, last_contact)
    else:
        applied.add(part)


def _apply(messages: Sequence[Inbound], now: datetime, last_contact: datetime | None) -> Applied:
    part = Applied()
    said = _understood(messages, part)
    live = [one for one in said if not one.message.retained]
    reported = read_reports([report for one in live if (report := _report(one))])
    presence = record_presence(
        [_heard(one) for one in said],
        now=now,
        last_contact=last_contact,
        reporting=[one.device_id for one in reported],
    )
    part.dropped += presence.refused
    store_reported(reported, now=now)
    apply_acks([ack for one in live if (ack := _ack(one))], now=now)
    confirm_by_reports([(one.device_id, one.lock) for one in reported], now=now)
    wake_commands(sorted(presence.alive), now=now)
    return part


def _understood(messages: Sequence[Inbound], part: Applied) -> list[_Said]:
    parsed = []
    for message in messages:
        reading = wire.parse(message.topic, message.payload)
        if isinstance(reading, wire.Refused):
            part.dropped[reading.reason] += 1
        else:
            parsed.append((message, reading))
    devices = locate({reading.source for _, reading in parsed})
    said = []
    for message, reading in parsed:
        device = devices.get(reading.source)
        if device is None:
            # What a terminated device left at the broker comes with every subscription: not worth a count.
            part.dropped[UNKNOWN_DEVICE] += not message.retained
        else:
            part.counts[type(reading).__name__] += 1
            said.append(_Said(device, message, reading))
    return said


def _heard(said: _Said) -> Heard:
    message, parsed = said.message, said.parsed
    if isinstance(parsed, wire.Status):
        kind = _ONLINE if parsed.online else _OFFLINE
        event = PresenceEvent(kind, parsed.session, message.at, parsed.keepalive)
    else:
        event = PresenceEvent(_UPLINK, None, message.at)
    return Heard(said.device.device_id, event, message.retained, message.again, message.kept_since)


def _report(said: _Said) -> Report | None:
    if isinstance(said.parsed, wire.Attr):
        return Report(said.device.device_id, said.device.product_id, said.parsed.values, said.message.at)
    return None


def _ack(said: _Said) -> tuple[int, Any, bool] | None:
    if isinstance(said.parsed, wire.Ack):
        return said.device.device_id, said.parsed.ticket, said.parsed.ok
    return None
