"""Devices to send commands to: the rows that the command services need, and one call that tells them something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from django.db import transaction

from amp.foundation import wakeups
from amp.foundation.models import Enterprise, Event
from amp.foundation.scoping import system_scope
from catalog.models import Product, ServiceRule, ThingModel
from devices.delivery import CommandKind
from devices.lifecycle import Lock, State
from devices.models import Command, Device, DeviceService, Presence
from devices.services.commands import CommandOrder, order_commands

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)
LOCKS = [{"code": "service_lock", "value": "true"}]
UNLOCKS = [{"code": "service_lock", "value": "false"}]
LOCK, UNLOCK = CommandKind.LOCK, CommandKind.UNLOCK


def thing_model(access: str = "RW", *, code: str = "service_lock") -> dict[str, Any]:
    """A TSL whose only property is the lock."""
    switch = {
        "id": 1,
        "code": code,
        "name": "Lock",
        "type": "PROPERTY",
        "subType": access,
        "dataType": "BOOL",
        "specs": [
            {"dataType": "BOOL", "name": "locked", "value": "true"},
            {"dataType": "BOOL", "name": "open", "value": "false"},
        ],
    }
    return {"profile": {}, "properties": [switch], "events": [], "services": []}


@dataclass
class Fleet:
    """Devices of one product, ids in order."""

    product: Product
    ids: list[int]

    def tell(self, kind: CommandKind, *, now: datetime = NOW, ids: Iterable[int] | None = None) -> list[Command]:
        """Want the lock as the sweeps and renewals do, in one transaction; the new commands by device."""
        chosen = sorted(self.ids if ids is None else ids)
        with transaction.atomic():
            services = list(
                DeviceService.objects.filter(device_id__in=chosen).order_by("device_id").select_for_update()
            )
            for service in services:
                service.generation += 1
                service.desired_lock = (Lock.LOCKED if kind is LOCK else Lock.UNLOCKED).value
            DeviceService.objects.bulk_update(services, ["generation", "desired_lock"])
            order_commands([order_for(service, kind) for service in services], now=now)
        return [newest(pk) for pk in chosen]

    def go(self, *, online: bool, ids: Iterable[int] | None = None) -> None:
        """Presence, as the bridge would write it."""
        Presence.objects.filter(device_id__in=self.ids if ids is None else ids).update(is_online=online)

    def save_rule(self, **changes: Any) -> ServiceRule:
        """The next version of the rule."""
        rule = ServiceRule.objects.get(product=self.product, is_current=True)
        ServiceRule.objects.filter(pk=rule.pk).update(is_current=False)
        rule.pk, rule.version = None, rule.version + 1
        for name, value in changes.items():
            setattr(rule, name, value)
        rule.save(force_insert=True)
        return rule

    def topic(self, device_id: int) -> str:
        """Where this device listens."""
        return f"amp/{self.product.key}/{Device.objects.get(pk=device_id).key}/down/attr"


def make_fleet(
    size: int = 1, *, online: bool = True, cache: timedelta = WEEK, access: str = "RW", name: str = "Heater"
) -> Fleet:
    """A product with a rule, a TSL and `size` expired devices."""
    enterprise = Enterprise.objects.filter(name="Maker").first() or _maker()
    product = Product.objects.create(enterprise=enterprise, name=name, key=name.lower(), created_at=NOW)
    ServiceRule.objects.create(
        enterprise=enterprise,
        product=product,
        version=1,
        paid_mode=True,
        paid_mode_since=NOW,
        thresholds_since=NOW,
        lock_action=LOCKS,
        unlock_action=UNLOCKS,
        cache_seconds=int(cache.total_seconds()),
        created_at=NOW,
    )
    ThingModel.objects.create(
        enterprise=enterprise, product=product, version=1, document=thing_model(access), created_at=NOW
    )
    devices = Device.objects.bulk_create(
        Device(enterprise=enterprise, product=product, key=f"d{number}", created_at=NOW) for number in range(size)
    )
    DeviceService.objects.bulk_create(
        DeviceService(
            device=device,
            enterprise=enterprise,
            product=product,
            state=State.EXPIRED.value,
            state_since=NOW,
            last_event_at=NOW,
        )
        for device in devices
    )
    Presence.objects.bulk_create(Presence(device=device, is_online=online) for device in devices)
    return Fleet(product, [device.pk for device in devices])


def order_for(service: DeviceService, kind: CommandKind) -> CommandOrder:
    """The order that a changed service makes."""
    return CommandOrder(service.device_id, service.enterprise_id, service.product_id, kind, service.generation)


def pay(device_id: int) -> None:
    """The device's service is ACTIVE, wanted unlocked."""
    DeviceService.objects.filter(pk=device_id).update(
        state=State.ACTIVE.value, ends_at=NOW + timedelta(days=3650), desired_lock=Lock.UNLOCKED.value
    )


def newest(device_id: int) -> Command:
    """The command of the highest generation."""
    return Command.objects.filter(device_id=device_id).latest("generation")


def command(ticket: UUID) -> Command:
    """The row as it is now."""
    return Command.objects.get(ticket=ticket)


def events_of(device_id: int) -> list[str]:
    """Kinds of events of the device, oldest first."""
    return list(Event.objects.filter(subject=f"device:{device_id}").order_by("id").values_list("kind", flat=True))


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def woken_tasks(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Records the wake-ups that services ask for."""
    wake = Mock()
    monkeypatch.setattr(wakeups, "wake", wake)
    return wake


def as_sent(row: Command, *, attempts: int = 1, sent_at=NOW) -> Command:
    """As dispatch leaves it after an attempt."""
    Command.objects.filter(pk=row.pk).update(
        status="SENT", attempts=attempts, sent_at=sent_at, due_at=sent_at + 5 * SECOND
    )
    return Command.objects.get(pk=row.pk)


def _maker() -> Enterprise:
    enterprise = Enterprise.objects.create(name="Maker", path="new", created_at=NOW)
    enterprise.path = f"/{enterprise.pk}/"
    enterprise.save()
    return enterprise
