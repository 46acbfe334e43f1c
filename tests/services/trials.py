"""Devices on trial: young ones, the plan that may follow, payments, and the story that their events tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from amp.foundation.models import Event, Merchant
from catalog.models import Plan, PlanStatus, ServiceLevel
from devices.lifecycle import State
from devices.models import DeviceService, Presence
from devices.services.renewal import RenewalOutcome, RenewalRequest, renew_services
from tests.services.fleet import Fleet, make_fleet

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def young_fleet(size: int = 1, *, online_since: datetime | None = NOW, **rule: Any) -> Fleet:
    """PENDING devices whose trial runs from 5 to 10 minutes online."""
    fleet = make_fleet(size, online=online_since is not None)
    fleet.save_rule(
        **{"trial_start_seconds": 300, "trial_end_seconds": 600, "thresholds_since": NOW - 30 * DAY, **rule}
    )
    ServiceLevel.objects.create(enterprise=fleet.product.enterprise, name="Standard", rank=1, standard_of=fleet.product)
    DeviceService.objects.update(
        state=State.PENDING.value, counts_from=0, due_at=NOW, last_event_at=NOW - DAY, state_since=NOW - DAY
    )
    Presence.objects.update(open_since=online_since)
    return fleet


def free_year(fleet: Fleet, **changes: Any) -> Plan:
    """A plan that auto-subscription may give."""
    enterprise = fleet.product.enterprise
    merchant = Merchant.objects.create(
        enterprise=enterprise, name="Maker Ltd", merchant_id="16000042", status="VERIFIED", created_at=NOW
    )
    fields = {"amount": 0, "months": 12, "status": PlanStatus.PUBLISHED.value} | changes
    return Plan.objects.create(
        enterprise=enterprise,
        merchant=merchant,
        level=fleet.product.standard_level,
        name="Included year",
        currency="CNY",
        created_at=NOW,
        **fields,
    )


def service(fleet: Fleet, index: int = 0) -> DeviceService:
    return DeviceService.objects.get(pk=fleet.ids[index])


def pay(
    fleet: Fleet, *, at: datetime, source: str = "line:1", months: int = 12, index: int = 0, now: datetime | None = None
) -> RenewalOutcome:
    request = RenewalRequest(fleet.ids[index], months, fleet.product.standard_level.pk, "12 months", source, at)
    [outcome] = renew_services([request], actor="test", now=now or at)
    return outcome


def story(fleet: Fleet, index: int = 0) -> list[tuple[str, datetime]]:
    events = Event.objects.filter(subject=f"device:{fleet.ids[index]}", kind__startswith="device_service.")
    return [(event.kind.split(".")[1], event.happened_at) for event in events.order_by("id")]
