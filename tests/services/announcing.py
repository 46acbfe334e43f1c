"""Devices with paid time whose ends are announced, and one run of everything that sends notices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from alerts.models import Notice
from alerts.services.looking import notice_due_ends
from alerts.services.publishing import fill_inboxes, publish_events
from alerts.services.telling import tell_devices
from amp.foundation.models import Enterprise
from amp.foundation.services.configuration import AlertedService, switch_expiry_alerts
from catalog.models import Product, ServiceLevel
from devices.models import Command, DeviceService, Presence, ServiceKind
from devices.services.commands import apply_acks
from devices.services.dispatch import dispatch_commands
from devices.services.renewal import RenewalRequest, renew_services
from devices.services.validities import ValiditySetting, set_validity
from devices.transports.recorded import RecordedTransport
from tests import factories

NOW = factories.NOW
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@dataclass
class Fleet:
    """Devices of one product with a year ahead of them."""

    product: Product
    ids: list[int]

    @property
    def enterprise(self) -> Enterprise:
        """Whose devices they are."""
        return self.product.enterprise

    def end(self, device_id: int | None = None) -> datetime:
        """When the service of a device ends."""
        ends_at = DeviceService.objects.get(pk=device_id or self.ids[0]).ends_at
        assert ends_at is not None
        return ends_at

    def renew(self, source: str, *, now: datetime, ids: Iterable[int] | None = None, months: int = 12) -> None:
        """A paid period for each, as a settled order makes it."""
        level = ServiceLevel.objects.get(standard_of=self.product)
        outcomes = renew_services(
            [RenewalRequest(pk, months, level.pk, "Plan", f"{source}:{pk}", now) for pk in ids or self.ids],
            actor="test",
            now=now,
        )
        assert all(each.refusal is None for each in outcomes), outcomes

    def go(self, *, online: bool) -> None:
        """Presence, as the bridge would write it."""
        Presence.objects.filter(device_id__in=self.ids).update(is_online=online)


def make_fleet(size: int = 1, *, online: bool = True, enterprise: Enterprise | None = None, **product: Any) -> Fleet:
    """Devices paid for a year from NOW on, in the enterprise's zone."""
    made = factories.make_product(enterprise, renewal_before_trial_end=True, **product)
    ids = sorted(factories.make_device(made).device.pk for _ in range(size))
    fleet = Fleet(made, ids)
    fleet.renew("first", now=NOW)
    fleet.go(online=online)
    return fleet


def switch(on: bool = True, *, now: datetime = NOW, services: Iterable[AlertedService] = AlertedService) -> None:
    """As the platform's administrator does."""
    for service in services:
        switch_expiry_alerts(service=service, on=on, actor="root@example.com", now=now)


def give(device_id: int, kind: ServiceKind, ends_at: datetime, *, now: datetime = NOW) -> None:
    """A SIM or RTK service."""
    set_validity(ValiditySetting(device_id, kind, ends_at), actor="test", now=now)


def sweep(now: datetime, transport: RecordedTransport | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Everything that beat runs, once; the property writes that devices got."""
    while notice_due_ends(now=now, limit=limit) >= limit:
        pass
    for work in (tell_devices, publish_events, fill_inboxes):
        while work(now=now, limit=limit) >= limit:
            pass
    transport = transport or RecordedTransport()
    before = len(transport.published)
    dispatch_commands(now=now, transport=transport)
    return [orjson.loads(each.payload)["data"]["kv"] for each in transport.published[before:]]


def notice(service: int, status: int) -> dict[str, Any]:
    """The seed's object, byte for byte (N7)."""
    return {"q_retain_device_sevice_notice": {"serviceName": service, "serviceStatus": status}}


def rows(**wanted: Any) -> list[tuple[int, str, str]]:
    """(days, status, reason) of the notices, as they were written."""
    return list(Notice.objects.filter(**wanted).order_by("id").values_list("days", "status", "reason"))


def hear(now: datetime, transport: RecordedTransport) -> list[dict[str, Any]]:
    """One round in which the device answers at once."""
    heard = sweep(now, transport)
    answer(transport, now)
    return heard


def answer(transport: RecordedTransport, now: datetime, *, ok: bool = True) -> None:
    """Acks of everything that is on its way."""
    sent = Command.objects.filter(status="SENT").values_list("device_id", "ticket")
    apply_acks([(device_id, ticket, ok) for device_id, ticket in sent], now=now)
