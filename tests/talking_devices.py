"""A small fleet made through the product's own services, and the words its devices say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from amp.foundation.models import Enterprise
from amp.foundation.services.enterprises import create_enterprise
from catalog.models import Product
from catalog.services.products import create_product, import_thing_model
from catalog.services.rules import RuleDraft, save_rule
from devices.delivery import CommandKind
from devices.models import Command, CommandStatus, DeviceService, Presence, PresenceSession
from devices.registration_csv import DeviceRow
from devices.services.commands import CommandOrder, order_commands
from devices.services.presence import Heard, Recorded, record_presence
from devices.services.presence_rows import locked_states
from devices.services.registration import register_many
from devices.services.uplinks import Applied, Inbound, apply_batch

DAY = datetime(2026, 3, 2, tzinfo=UTC)
TSL = {
    "profile": {"productKey": "any", "version": "1", "tslVersion": "1"},
    "properties": [
        {
            "id": 1,
            "code": "service_lock",
            "name": "Lock",
            "type": "PROPERTY",
            "subType": "RW",
            "dataType": "BOOL",
            "specs": [
                {"dataType": "BOOL", "name": "locked", "value": "true"},
                {"dataType": "BOOL", "name": "open", "value": "false"},
            ],
        },
        {
            "id": 2,
            "code": "power",
            "name": "Power",
            "type": "PROPERTY",
            "subType": "RW",
            "dataType": "INT",
            "specs": {"unit": "%", "min": "0", "max": "100", "step": "1"},
        },
    ],
    "events": [],
    "services": [],
}
LOCK = [{"code": "service_lock", "value": "true"}]
UNLOCK = [{"code": "service_lock", "value": "false"}]


def at(clock: str, day: datetime = DAY) -> datetime:
    """A moment of the day, as "09:00" or "09:00:07"."""
    parts = [int(part) for part in clock.split(":")] + [0, 0]
    return day + timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])


@dataclass
class Fleet:
    """Devices `d1` … of one product; `ids` and `passwords` by key."""

    enterprise: Enterprise
    product: Product
    ids: dict[str, int]
    passwords: dict[str, str]

    def topic(self, key: str, tail: str) -> str:
        return f"amp/{self.product.key}/{key}/{tail}"

    def say(self, key: str, tail: str, body: Any, moment: datetime, **marks: bool) -> Inbound:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Inbound(self.topic(key, tail), payload, marks.get("retained", False), moment, marks.get("again", False))

    def online(self, key: str, moment: datetime, session: Any = 1, **more: Any) -> Inbound:
        marks = {name: more.pop(name) for name in ("retained", "again") if name in more}
        return self.say(key, "status", {"value": 1, "session": session, **more}, moment, **marks)

    def offline(self, key: str, moment: datetime, session: Any = 1, **marks: bool) -> Inbound:
        return self.say(key, "status", {"value": 0, "session": session}, moment, **marks)

    def report(self, key: str, moment: datetime, values: Any = None, **marks: bool) -> Inbound:
        body = {"ticket": "t", "type": "MATTR", "subtype": "REPORT", "data": {"kv": values or {}}}
        return self.say(key, "up/attr", body, moment, **marks)

    def ack(self, key: str, moment: datetime, ticket: Any, status: str = "succ") -> Inbound:
        return self.say(key, "up/ack", {"ticket": str(ticket), "status": status}, moment)

    def presence(self, key: str = "d1") -> Presence:
        return Presence.objects.get(device_id=self.ids[key])

    def service(self, key: str = "d1") -> DeviceService:
        return DeviceService.objects.get(device_id=self.ids[key])

    def sessions(self, key: str = "d1") -> list[PresenceSession]:
        return list(PresenceSession.objects.filter(device_id=self.ids[key]).order_by("started_at", "ended_at"))

    def hours(self, key: str = "d1") -> float:
        """Closed online time."""
        return self.presence(key).counted / 3_600_000_000


def make_fleet(size: int = 1, *, name: str = "Acme", with_rule: bool = True, **rule: Any) -> Fleet:
    """An enterprise with one product and `size` devices; paid mode on, unless `with_rule` is false."""
    enterprise = create_enterprise(name=name, parent=None, time_zone="UTC", currency="CNY", actor="test", now=DAY)
    product = create_product(enterprise=enterprise, name="Pump", actor="test", now=DAY)
    import_thing_model(product=product, text=json.dumps(TSL), actor="test", now=DAY)
    if with_rule:
        draft = RuleDraft(**{"paid_mode": True, "lock_action": LOCK, "unlock_action": UNLOCK, **rule})
        save_rule(product=product, draft=draft, actor="test", now=DAY)
    rows = [DeviceRow(f"d{number + 1}", "", "", "") for number in range(size)]
    new = register_many(product=product, enterprise=enterprise, rows=rows, actor="test", now=DAY)
    return Fleet(enterprise, product, {row.key: row.device_id for row in new}, {row.key: row.password for row in new})


def tell(*messages: Inbound, now: datetime | None = None, **more: Any) -> Applied:
    """Hand one batch to the product, by default at the moment of its last message."""
    return apply_batch(messages, now=now or max(message.at for message in messages), **more)


@transaction.atomic
def record(heard: Sequence[Heard], *, now: datetime) -> Recorded:
    """Hand over what was heard without a message, as from a broker that reports connections itself."""
    presence = Presence.objects.filter(pk__in={one.device_id for one in heard})
    return record_presence(heard, locked_states(presence), now=now)


def lock_sent(fleet: Fleet, key: str = "d1") -> Command:
    """A LOCK on its way to the device."""
    device_id = fleet.ids[key]
    DeviceService.objects.filter(pk=device_id).update(generation=1)
    order = CommandOrder(device_id, fleet.enterprise.pk, fleet.product.pk, CommandKind.LOCK, 1)
    order_commands([order], now=at("08:00"))
    Command.objects.filter(device_id=device_id).update(
        status=CommandStatus.SENT.value, attempts=1, sent_at=at("08:00"), due_at=at("08:00:05")
    )
    return Command.objects.get(device_id=device_id)
