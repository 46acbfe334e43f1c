"""Commands leave for their devices, and those that got no answer or no longer matter are put right (A20, A21, F21).

A command counts as sent before it is published: a crash in between is a missing ack, never a second copy in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db import transaction

from amp.foundation.bulk import among
from amp.foundation.services.events import record_events
from devices.delivery import CommandKind, CommandStatus, Standing, attempted, closed, is_stale, unanswered, unpublished
from devices.models import Command, Device
from devices.services.command_rows import CommandRow, claimed_rows, closing_event, locked_rows, store_rows
from devices.services.commands import online_devices
from devices.services.notice_claims import one_per_device, without_outdated
from devices.transports.base import BrokerRefused, BrokerUnavailable, CommandTransport, Downlink, Outcome, Receipt
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_publisher import MqttPublisher

log = logging.getLogger(__name__)

CHUNK = 2_000
CONNECT_WITHIN = 2.0
PUBLISH_WITHIN = 2.5
"""Seconds; together less than the 5 s for the ack, for which a newer command waits, so no older one follows it (R3)."""

ASTRAY = {Outcome.NOT_SENT: False, Outcome.REFUSED: True, Outcome.NO_SUBSCRIBER: True}
"""Outcomes after which no device can answer, and whether the message left us."""


class Claimed(NamedTuple):
    """A command that is ours to publish now."""

    row: CommandRow
    downlink: Downlink


class Claims(NamedTuple):
    """How many commands were due, and which of them go out."""

    looked: int
    sent: list[Claimed]


def dispatch_commands(*, now: datetime, transport: CommandTransport, limit: int = CHUNK) -> int:
    """Publish one slice of due commands, oldest first; how many were dealt with (fewer than `limit`: stop for now).

    Three statements and a publish for a full slice, one statement when idle. Call outside a transaction.
    """
    claims = claim(now=now, limit=limit)
    if not claims.sent:
        return claims.looked
    receipts = _publish(transport, [claimed.downlink for claimed in claims.sent])
    astray = {
        claimed.row.id: (claimed.row, receipt)
        for claimed, receipt in zip(claims.sent, receipts, strict=True)
        if receipt.outcome in ASTRAY
    }
    if astray:
        put_back(astray, now=now)
    return claims.looked - sum(receipt.outcome is Outcome.NOT_SENT for receipt in receipts)


@transaction.atomic(durable=True)
def claim(*, now: datetime, limit: int = CHUNK) -> Claims:
    """Take due commands that no other worker holds, and count the attempt before it is made (F15).

    Only one command of a device's slot is open, the newest (A22). Those whose device turns out to be offline wait for
    it; those past their cache time are closed.
    """
    due = Command.objects.filter(status=CommandStatus.PENDING.value, due_at__lte=now).order_by("due_at")
    rows = claimed_rows(due, limit)
    if not rows:
        return Claims(0, [])
    looked = len(rows)
    rows, later = one_per_device(rows, now)
    store_rows(later)
    topics, online, generations = _addresses(rows)
    rows = _stored(without_outdated(rows, now), _attempt(online, now), now)
    sent = [row for row in rows if row.standing.status is CommandStatus.SENT]
    downlinks = [Downlink(topics[row.device_id], payload_of(row, generations[row.device_id])) for row in sent]
    return Claims(looked, [Claimed(row, downlink) for row, downlink in zip(sent, downlinks, strict=True)])


@transaction.atomic
def put_back(astray: dict[int, tuple[CommandRow, Receipt]], *, now: datetime) -> int:
    """These reached no device: they wait again, and say why. A command that changed meanwhile is left alone."""
    changed = []
    for row in locked_rows(Command.objects.filter(among("id", astray), status=CommandStatus.SENT.value)):
        claimed, receipt = astray[row.id]
        if row.standing.attempts == claimed.standing.attempts:
            standing = unpublished(row.standing, has_left=ASTRAY[receipt.outcome], now=now)
            changed.append(row._replace(standing=standing, problem=receipt.reason[:300]))
    store_rows(changed)
    _record_stale(changed, now)
    return len(changed)


@transaction.atomic
def close_unanswered(*, now: datetime, limit: int = CHUNK) -> int:
    """Commands whose 5 s are over without an ack wait for the next attempt, or are over (A21); how many."""
    silent = Command.objects.filter(status=CommandStatus.SENT.value, due_at__lt=now).order_by("due_at")
    rows = claimed_rows(silent, limit)
    if rows:
        online = online_devices([row.device_id for row in rows])
        _stored(rows, lambda row: unanswered(row.standing, is_online=row.device_id in online, now=now), now)
    return len(rows)


@transaction.atomic
def close_stale(*, now: datetime, limit: int = CHUNK) -> int:
    """Waiting commands whose cache time is over become STALE, for everybody to see (A20, F54); how many."""
    waiting = Command.objects.filter(status=CommandStatus.PENDING.value, stale_at__lt=now).order_by("stale_at")
    rows = [row for row in claimed_rows(waiting, limit) if is_stale(row.standing, now)]
    if rows:
        _stored(rows, lambda row: closed(row.standing, CommandStatus.STALE, now), now)
    return len(rows)


def shared_transport() -> CommandTransport:
    """This process's connection to the broker: opened when first needed, kept, safe for threads and after a fork."""
    return _publisher(settings.MQTT_URL)


def payload_of(row: CommandRow, generation: int) -> bytes:
    """A property write as it goes over the wire; the ticket names the command, the generation its age (F56).

    `generation` is the service's: a notice carries it, so that devices which refuse what is older than their last lock
    take it.
    """
    return orjson.dumps(
        {
            "ticket": str(row.ticket),
            "generation": generation if row.kind is CommandKind.NOTICE else row.generation,
            "type": "MATTR",
            "subtype": "WRITE",
            "data": {"kv": row.values},
        }
    )


def _attempt(online: set[int], now: datetime) -> Callable[[CommandRow], Standing]:
    def decide(row: CommandRow) -> Standing:
        if not row.standing.is_open:
            return row.standing
        return attempted(row.standing, is_online=row.device_id in online, now=now)

    return decide


def _addresses(rows: Sequence[CommandRow]) -> tuple[dict[int, str], set[int], dict[int, int]]:
    """Topic of each device, which of the devices are online, the generation of each service; one query."""
    devices = Device.objects.filter(among("id", [row.device_id for row in rows]))
    found = list(devices.values_list("id", "product__key", "key", "presence__is_online", "service__generation"))
    topics = {device_id: f"amp/{product}/{key}/down/attr" for device_id, product, key, _online, _age in found}
    online = {device_id for device_id, _product, _key, is_online, _age in found if is_online}
    return topics, online, {device_id: age or 0 for device_id, _product, _key, _online, age in found}


def _publish(transport: CommandTransport, downlinks: Sequence[Downlink]) -> list[Receipt]:
    try:
        return transport.publish(downlinks, timeout=PUBLISH_WITHIN)
    except (BrokerUnavailable, BrokerRefused) as trouble:
        log.warning("%s commands were not sent: %s", len(downlinks), trouble)
        return [Receipt(Outcome.NOT_SENT, str(trouble))] * len(downlinks)


def _stored(rows: Sequence[CommandRow], decide: Callable[[CommandRow], Standing], now: datetime) -> list[CommandRow]:
    """Ask the rule for each row and store what it says."""
    decided = [row._replace(standing=decide(row)) for row in rows]
    fresh = [row._replace(problem="") if row.standing.status is CommandStatus.SENT else row for row in decided]
    store_rows(fresh)
    _record_stale(fresh, now)
    return fresh


def _record_stale(rows: Iterable[CommandRow], now: datetime) -> None:
    stale = [row for row in rows if row.standing.status is CommandStatus.STALE]
    record_events([closing_event(row, now=now, actor="sweep") for row in stale], now=now)


@cache
def _publisher(url: str) -> MqttPublisher:
    return MqttPublisher(MqttAddress.parse(url), connect_timeout=CONNECT_WITHIN)
