"""What comes from the broker, applied: one call for a batch of messages of any number of devices.

Messages that break the format, speak for unknown devices or come too fast are dropped and counted; a message that our
own code can't handle is found and dropped alone, so that it never blocks the others (F15, F69).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from django.db import transaction

from amp.foundation.services.failures import is_database_trouble
from devices import wire
from devices.online_time import Kind, PresenceEvent, PresenceState
from devices.services.commands import apply_acks, confirm_by_reports
from devices.services.locating import Located, locate
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


class _Said(NamedTuple):
    """What a batch says that we may use, and by whom."""

    devices: dict[int, PresenceState]
    heard: list[Heard]
    reports: list[Report]
    acks: list[tuple[int, UUID, bool]]


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


class Spoken(Protocol):
    """A message on a topic."""

    @property
    def topic(self) -> str:
        """As the broker has it."""


Words = TypeVar("Words", bound=Spoken)


def by_device(messages: Sequence[Words], parts: int) -> list[list[Words]]:
    """The messages in so many parts, in their order; all of one device are in one of them.

    Parts change different devices and lock rows of no others, so they may be applied at the same time.
    """
    divided: list[list[Words]] = [[] for _part in range(parts)]
    for message in messages:
        address = wire.read_topic(message.topic)
        divided[hash(address[0]) % parts if address else 0].append(message)
    return divided


def _fair(messages: Sequence[Inbound], applied: Applied) -> Sequence[Inbound]:
    spoken = Counter([message.topic for message in messages])
    if max(spoken.values(), default=0) <= min(FAIR_SHARE.values()):  # counted at once, for floods are rare
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
    reported = read_reports(said.reports)
    presence = record_presence(
        said.heard,
        said.devices,
        now=now,
        last_contact=last_contact,
        reporting=[one.device_id for one in reported],
    )
    part.dropped += presence.refused
    store_reported(reported, now=now)
    apply_acks(said.acks, now=now)
    confirm_by_reports([(one.device_id, one.lock) for one in reported], now=now)
    wake_commands(sorted(presence.alive), now=now)
    return part


def _understood(messages: Sequence[Inbound], part: Applied) -> _Said:
    parsed = []
    for message in messages:
        reading = wire.parse(message.topic, message.payload)
        if isinstance(reading, wire.Refused):
            part.dropped[reading.reason] += 1
        else:
            parsed.append((message, reading))
    devices = locate([reading.source for _message, reading in parsed])
    said = _Said({one.device_id: one.state for one in devices.values()}, [], [], [])
    for message, reading in parsed:
        device = devices.get(reading.source)
        if device is None:
            # What a terminated device left at the broker comes with every subscription: not worth a count.
            part.dropped[UNKNOWN_DEVICE] += not message.retained
        else:
            _take(said, device, message, reading)
    part.counts += Counter([type(reading).__name__ for _message, reading in parsed if reading.source in devices])
    return said


def _take(
    said: _Said, device: Located, message: Inbound, reading: wire.Status | wire.Attr | wire.EventReport | wire.Ack
) -> None:
    """Whatever a device sends shows that it is there; a report or an ack that the broker had stored tells no more."""
    device_id = device.device_id
    if isinstance(reading, wire.Status):
        event = PresenceEvent(_ONLINE if reading.online else _OFFLINE, reading.session, message.at, reading.keepalive)
    else:
        event = PresenceEvent(_UPLINK, None, message.at)
        if isinstance(reading, wire.Attr) and not message.retained:
            said.reports.append(Report(device_id, device.product_id, reading.values, message.at))
        elif isinstance(reading, wire.Ack) and not message.retained:
            said.acks.append((device_id, reading.ticket, reading.ok))
    said.heard.append(Heard(device_id, event, message.retained, message.again, message.kept_since))
