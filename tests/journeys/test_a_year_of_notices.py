"""Two years of one device on the real product: what it hears, with beat stopped for a month in between (N1–N9, F66).

Worker, beat and bridge are processes of their own, on PostgreSQL, Redis and Mosquitto; the device is an independent
MQTT client. The test clock moves the product's time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from alerts.models import Notice
from amp.foundation import clock
from amp.foundation.services.configuration import AlertedService, switch_expiry_alerts
from catalog.models import ServiceLevel
from devices.services.renewal import RenewalRequest, renew_services
from tests.journeys.world import World

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

LOCK, UNLOCK = {"service_lock": "true"}, {"service_lock": "false"}


def notice(status: int) -> dict[str, Any]:
    """The seed's object for a device service, byte for byte (N7)."""
    return {"q_retain_device_sevice_notice": {"serviceName": 3, "serviceStatus": status}}


def heard(amp: World) -> list[dict[str, Any]]:
    """The writes in the order of their arrival; one that was sent again counts once (A21)."""
    return [write for write, _ in groupby(message["data"]["kv"] for message in amp.device.received)]


def renew(amp: World, source: str) -> None:
    """A year, as a settled order brings it."""
    level = ServiceLevel.objects.get(standard_of=amp.product)
    request = RenewalRequest(amp.registered.device.pk, 12, level.pk, amp.plan.name, source, clock.now())
    [outcome] = renew_services([request], actor="test", now=clock.now())
    assert outcome.refusal is None


def go_to(amp: World, days_before_the_end: float) -> None:
    """Move the product's time to so many days before the service ends, and a minute."""
    ends_at = amp.service.ends_at
    assert ends_at is not None
    clock.forget()
    left = (ends_at - clock.now()).total_seconds()
    amp.advance(seconds=left - days_before_the_end * 86_400 + 60)


def test_a_device_hears_exactly_its_notices_locks_and_unlocks(world: Callable[..., World]) -> None:
    amp = world()
    switch_expiry_alerts(service=AlertedService.DEVICE, on=True, actor="root@example.com", now=clock.now())
    [beat] = [each for each in amp.amp.processes if "beat" in each.command()]
    amp.expire()
    amp.until(lambda: heard(amp) == [LOCK], "the trial is over")
    renew(amp, "card:1")
    said = [LOCK, UNLOCK]
    amp.until(lambda: heard(amp) == said, "paid for a year")
    go_to(amp, 30)
    said.append(notice(1))
    amp.until(lambda: heard(amp) == said, "30 days before")
    renew(amp, "card:2")

    go_to(amp, 35)
    beat.kill()
    go_to(amp, 4)
    beat.start()
    said.append(notice(2))
    amp.until(lambda: heard(amp) == said, "after a month without beat, only the most urgent notice", within=120)
    go_to(amp, 1)
    said.append(notice(3))
    amp.until(lambda: heard(amp) == said, "the last day")
    go_to(amp, 0)
    said.append(LOCK)
    amp.until(lambda: heard(amp) == said, "the end")
    renew(amp, "card:3")
    said.append(UNLOCK)
    amp.until(lambda: heard(amp) == said, "paid again")

    rows = Notice.objects.order_by("ends_at", "-days").values_list("days", "status", "reason")
    assert list(rows) == [
        (30, "HANDED_OVER", ""),
        (30, "SKIPPED", "OVERTAKEN"),
        (7, "HANDED_OVER", ""),
        (1, "HANDED_OVER", ""),
    ]
    amp.until(
        lambda: set(Notice.objects.exclude(command=None).values_list("command__status", flat=True)) == {"CONFIRMED"},
        "the device acknowledged each",
    )
    amp.audit()
