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
from django.db.models import Exists, OuterRef

from amp.foundation.bulk import among
from amp.foundation.services.events import record_events
from devices.delivery import CommandKind, CommandStatus, Standing, attempted, closed, is_stale, unanswered, unpublished
from devices.models import Command, Device
from devices.models.commands import OPEN_STATUSES
from devices.services.command_rows import CommandRow, claimed_rows, closing_event, locked_rows, store_rows
from devices.services.commands import online_devices
from devices.services.notice_claims import one_per_device, without_outdated
from devices.services.published import Fate, tell_published
from devices.transports.base import BrokerRefused, BrokerUnavailable, CommandTransport, Downlink, Outcome, Receipt
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_publisher import MqttPublisher

log = logging.getLogger(__name__)

CHUNK = 2_000
CONNECT_WITHIN = 2.0
PUBLISH_WITHIN = 2.5
"""Seconds; with the wait for our turn less than the 5 s for the ack, for which a newer command waits (R3)."""

ASTRAY = {Outcome.NOT_SENT: False, Outcome.REFUSED: True, Outcome.NO_SUBSCRIBER: True}
"""Outcomes after which no device can answer, and whether the message left us."""


class Claimed(NamedTuple):
    """A command that is ours to publish now."""

    row: CommandRow
    downlink: Downlink


class Address(NamedTuple):
    """Where a device listens, whether it does, how old its lock is, whether notices to it are open."""

    topic: str
    is_online: bool
    generation: int
    has_notices: bool


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
    tell_published(Fate(sent.row.kind, receipt.outcome) for sent, receipt in zip(claims.sent, receipts, strict=True))
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
    claimed = rows = sorted(claimed_rows(due, limit), key=lambda row: (row.standing.due_at or now, row.id))
    if not rows:
        return Claims(0, [])
    addresses = _addresses(rows)
    if any(address.has_notices for address in addresses.values()):
        rows, later = one_per_device(rows, now)
        store_rows(later)
        rows = without_outdated(rows, now)
    decided = _decided(rows, lambda row: _attempted(row.standing, addresses[row.device_id], now))
    _store(decided, claimed, now)
    sent = [row for row in decided if row.standing.status is CommandStatus.SENT]
    return Claims(len(claimed), [Claimed(row, _downlink(row, addresses[row.device_id])) for row in sent])


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
        silenced = _decided(rows, lambda row: unanswered(row.standing, is_online=row.device_id in online, now=now))
        _store(silenced, rows, now)
    return len(rows)


@transaction.atomic
def close_stale(*, now: datetime, limit: int = CHUNK) -> int:
    """Waiting commands whose cache time is over become STALE, for everybody to see (A20, F54); how many."""
    waiting = Command.objects.filter(status=CommandStatus.PENDING.value, hold=None, stale_at__lt=now)
    rows = [row for row in claimed_rows(waiting.order_by("stale_at"), limit) if is_stale(row.standing, now)]
    if rows:
        _store(_decided(rows, lambda row: closed(row.standing, CommandStatus.STALE, now)), rows, now)
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


def _attempted(standing: Standing, address: Address, now: datetime) -> Standing:
    return attempted(standing, is_online=address.is_online, now=now) if standing.is_open else standing


def _downlink(row: CommandRow, address: Address) -> Downlink:
    return Downlink(address.topic, payload_of(row, address.generation))


def _addresses(rows: Sequence[CommandRow]) -> dict[int, Address]:
    """The address of each device; one query."""
    notices = Command.objects.filter(device_id=OuterRef("pk"), kind=CommandKind.NOTICE.value, status__in=OPEN_STATUSES)
    devices = Device.objects.filter(among("id", [row.device_id for row in rows])).annotate(told=Exists(notices))
    found = devices.values_list("id", "product__key", "key", "presence__is_online", "service__generation", "told")
    return {
        device_id: Address(f"amp/{product}/{key}/down/attr", bool(is_online), generation or 0, told)
        for device_id, product, key, is_online, generation, told in found
    }


def _publish(transport: CommandTransport, downlinks: Sequence[Downlink]) -> list[Receipt]:
    try:
        return transport.publish(downlinks, timeout=PUBLISH_WITHIN)
    except (BrokerUnavailable, BrokerRefused) as trouble:
        log.warning("%s commands were not sent: %s", len(downlinks), trouble)
        return [Receipt(Outcome.NOT_SENT, str(trouble))] * len(downlinks)


def _decided(rows: Sequence[CommandRow], decide: Callable[[CommandRow], Standing]) -> list[CommandRow]:
    """Ask the rule for each row; what goes out has no problem any more."""
    decided = [row._replace(standing=decide(row)) for row in rows]
    return [
        row._replace(problem="") if row.problem and row.standing.status is CommandStatus.SENT else row
        for row in decided
    ]


def _store(rows: Sequence[CommandRow], claimed: Sequence[CommandRow], now: datetime) -> None:
    store_rows(rows, stored=claimed)
    _record_stale(rows, now)


def _record_stale(rows: Iterable[CommandRow], now: datetime) -> None:
    stale = [row for row in rows if row.standing.status is CommandStatus.STALE]
    record_events([closing_event(row, now=now, actor="sweep") for row in stale], now=now)


@cache
def _publisher(url: str) -> MqttPublisher:
    return MqttPublisher(MqttAddress.parse(url), connect_timeout=CONNECT_WITHIN)
