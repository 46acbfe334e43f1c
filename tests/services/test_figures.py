"""Figures are counted ahead, honestly, and at a pace set by their cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Enterprise, Figure, Tally
from amp.foundation.scoping import system_scope
from amp.foundation.services import figures as counting
from billing.models import Order, OrderChannel
from billing.services.figures import count_sales, month_of
from catalog.models import Plan, Product, ServiceLevel
from devices.models import Command, Device, DeviceService, Presence
from devices.services.figures import count_devices, week_of
from tests.factories import NOW, make_device, make_enterprise, make_plan, make_product

MINUTE = timedelta(minutes=1)
_number = count(1)


@pytest.fixture(autouse=True)
def scope(db: None) -> Iterator[None]:
    with system_scope():
        yield


def figures(enterprise: Enterprise) -> dict[tuple[str, str], int]:
    """What is stored about it."""
    rows = Figure.objects.filter(enterprise=enterprise).values_list("name", "bucket", "number")
    return {(name, bucket): number for name, bucket, number in rows}


def fleet(product: Product, number: int) -> list[Device]:
    return [make_device(product).device for _ in range(number)]


def runs_until(device: Device, ends_at: datetime) -> None:
    level = ServiceLevel.objects.get(standard_of=device.product)
    DeviceService.objects.filter(device=device).update(state="ACTIVE", ends_at=ends_at, level=level)


def paid_order(plan: Plan, paid_at: datetime, *, devices: int = 1, status: str = "FULFILLED", **changes: Any) -> Order:
    """An order as it looks when its money came in."""
    fields: dict[str, Any] = {
        "enterprise": plan.enterprise,
        "number": f"R{next(_number):08d}",
        "channel": OrderChannel.STAFF.value,
        "status": status,
        "merchant": plan.merchant,
        "merchant_name": "M",
        "plan": plan,
        "plan_name": plan.name,
        "level_id": plan.level_id,
        "months": plan.months,
        "unit_amount": plan.amount,
        "total": plan.amount * devices,
        "currency": plan.currency,
        "line_count": devices,
        "created_at": paid_at,
        "created_by": "test",
        "expires_at": paid_at,
        "paid_at": paid_at,
    }
    return Order.objects.create(**fields | changes)


def test_services_are_counted_by_state_presence_and_end() -> None:
    product = make_product()
    first, second, third, _fourth = fleet(product, 4)
    runs_until(first, NOW + timedelta(days=3))
    runs_until(second, NOW + timedelta(days=40))
    runs_until(third, NOW + timedelta(days=400))
    Presence.objects.filter(device__in=[first, third]).update(is_online=True)
    assert count_devices(now=NOW, every=MINUTE) == Enterprise.objects.count()
    told = figures(product.enterprise)
    assert told[("services", "ACTIVE")] == 3
    assert told[("services", "PENDING")] == 1
    assert told[("online", "")] == 2
    assert told[("ends_soon", "")] == 1
    assert {bucket: n for (name, bucket), n in told.items() if name == "ends"} == {"2026-03-02": 1, "2026-04-06": 1}


def test_weeks_and_months_begin_at_midnight_of_the_enterprise() -> None:
    """1 March 2026 is a Sunday; at 17:00 UTC it is Monday already in Shanghai."""
    evening = datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert week_of(evening, "UTC").date().isoformat() == "2026-02-23"
    assert week_of(evening, "Asia/Shanghai").date().isoformat() == "2026-03-02"
    late = datetime(2026, 2, 28, 17, tzinfo=UTC)
    assert month_of(late, "UTC").month == 2
    assert month_of(late, "Asia/Shanghai").month == 3
    china, utc = make_enterprise(time_zone="Asia/Shanghai"), make_enterprise(time_zone="UTC")
    for enterprise in (china, utc):
        runs_until(fleet(make_product(enterprise), 1)[0], evening)
    count_devices(now=NOW, every=MINUTE)
    assert figures(china)[("ends", "2026-03-02")] == 1
    assert figures(utc)[("ends", "2026-02-23")] == 1


def test_commands_that_wait_and_that_failed_lately_are_counted() -> None:
    product = make_product()
    for generation, (device, status) in enumerate(
        zip(fleet(product, 4), ["PENDING", "SENT", "FAILED", "FAILED"], strict=True)
    ):
        Command.objects.create(
            enterprise=product.enterprise,
            device=device,
            kind="LOCK",
            generation=generation,
            values={},
            rule_version=1,
            status=status,
            created_at=NOW,
            stale_at=NOW,
            closed_at=NOW - timedelta(days=1 if generation == 2 else 8) if status == "FAILED" else None,
        )
    count_devices(now=NOW, every=MINUTE)
    told = figures(product.enterprise)
    assert (told[("commands", "waiting")], told[("commands", "failed")]) == (2, 1)


def test_sales_are_counted_by_month_and_currency_and_unpaid_orders_are_not() -> None:
    plan = make_plan(amount=19_900)
    paid_order(plan, NOW, devices=3)
    paid_order(plan, NOW, status="PARTIALLY_FULFILLED")
    paid_order(plan, NOW, currency="USD", total=500)
    paid_order(plan, NOW - timedelta(days=60), status="PAID")
    paid_order(plan, NOW, status="EXPIRED")
    Order.objects.filter(status="EXPIRED").update(paid_at=None)
    count_sales(now=NOW, every=MINUTE)
    told = figures(plan.enterprise)
    assert told[("paid_orders", "2026-03")] == 3
    assert told[("paid_devices", "2026-03")] == 5
    assert told[("paid_total", "2026-03 CNY")] == 4 * 19_900
    assert told[("paid_total", "2026-03 USD")] == 500
    assert told[("paid_orders", "2025-12")] == 1


def test_closed_months_are_counted_once_a_day_and_open_ones_each_time() -> None:
    plan = make_plan()
    old = paid_order(plan, NOW - timedelta(days=200))
    count_sales(now=NOW, every=MINUTE)
    month = f"{old.paid_at:%Y-%m}"
    paid_order(plan, old.paid_at)  # a correction of the past
    paid_order(plan, NOW)
    count_sales(now=NOW + MINUTE, every=MINUTE)
    told = figures(plan.enterprise)
    assert (told[("paid_orders", month)], told[("paid_orders", "2026-03")]) == (1, 1)
    count_sales(now=NOW + timedelta(days=1), every=MINUTE)
    assert figures(plan.enterprise)[("paid_orders", month)] == 2


def test_what_fell_to_nothing_is_not_left_standing() -> None:
    product = make_product()
    device = fleet(product, 1)[0]
    Presence.objects.filter(device=device).update(is_online=True)
    count_devices(now=NOW, every=MINUTE)
    assert figures(product.enterprise)[("online", "")] == 1
    Presence.objects.filter(device=device).update(is_online=False)
    count_devices(now=NOW + MINUTE, every=MINUTE)
    assert ("online", "") not in figures(product.enterprise)


def test_enterprises_are_counted_again_when_due_and_not_before() -> None:
    make_product()
    assert count_devices(now=NOW, every=MINUTE) == 1
    assert count_devices(now=NOW + timedelta(seconds=59), every=MINUTE) == 0
    make_enterprise()
    assert count_devices(now=NOW + timedelta(seconds=59), every=MINUTE) == 1, "the newcomer alone"
    assert count_devices(now=NOW + MINUTE, every=MINUTE) == 1


def test_a_clock_that_went_back_leaves_no_figures_of_the_future() -> None:
    make_product()
    count_devices(now=NOW + timedelta(days=300), every=MINUTE)
    assert count_devices(now=NOW, every=MINUTE) == 1
    assert Tally.objects.get(group="devices").counted_at == NOW


def test_counting_takes_a_fixed_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that takes 10 s is made again after 500 s, not after the minute that was asked for."""
    make_product()
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(counting, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    count_devices(now=NOW, every=MINUTE)
    assert Tally.objects.get(group="devices").due_at == NOW + timedelta(seconds=500)
    assert counting._pace(timedelta(hours=1), MINUTE) == counting.LONGEST
    assert counting._pace(timedelta(seconds=1), MINUTE) == MINUTE


def test_many_enterprises_are_counted_by_as_many_queries_as_few() -> None:
    for _ in range(2):
        make_product()
    with CaptureQueriesContext(connection) as few:
        count_devices(now=NOW, every=MINUTE)
    for _ in range(6):
        make_product()
    with CaptureQueriesContext(connection) as many:
        assert count_devices(now=NOW + MINUTE, every=MINUTE) == 8
    assert len(many) <= len(few) <= 16
