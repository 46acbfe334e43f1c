"""What orchestrators are told: alive, and ready only while all that must work does work (X10, F07, F13)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from amp import health
from amp.foundation import clock
from amp.foundation.models import SweepRun
from amp.foundation.scoping import system_scope
from billing.models import Order, OrderStatus
from devices.lifecycle import State
from devices.models import Bridge, DeviceService
from tests.factories import NOW, make_device, make_plan, make_product

pytestmark = pytest.mark.django_db
SWEEPS = ("worker_heartbeat", "advance_due_services")


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def wall() -> datetime:
    """All is well at this moment."""
    wall = clock.wall()
    for name in SWEEPS:
        SweepRun.objects.create(name=name, started_at=wall, finished_at=wall)
    Bridge.objects.create(name="bridge", connected=True, beat_at=wall)
    return wall


def ready() -> tuple[int, dict[str, Any]]:
    health.forget()
    answer = Client().get("/health/ready")
    return answer.status_code, answer.json()


def test_alive_says_only_that_the_process_answers_and_asks_nothing_of_others(
    django_assert_num_queries: Any,
) -> None:
    with django_assert_num_queries(0):
        answer = Client().get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_ready_while_everything_works(wall: datetime) -> None:
    status, told = ready()
    assert status == 200, told
    assert told["status"] == "ok"
    assert set(told["checks"]) == {"database", "broker", "worker", "sweep", "mqtt"}


def test_a_new_installation_is_not_ready_before_its_workers_have_run() -> None:
    status, told = ready()
    assert status == 503
    assert told["checks"]["worker"] == {"ok": False, "why": "never ran"}
    assert told["checks"]["mqtt"]["ok"] is False
    assert told["checks"]["database"]["ok"] is True


@pytest.mark.parametrize(
    ("name", "check", "late"),
    [("worker_heartbeat", "worker", health.WORKER_LATE), ("advance_due_services", "sweep", health.SWEEP_LATE)],
)
def test_a_worker_that_lives_but_consumes_nothing_shows_F07(
    wall: datetime, name: str, check: str, late: timedelta
) -> None:
    stopped = wall - late - timedelta(seconds=5)
    SweepRun.objects.filter(name=name).update(started_at=stopped, finished_at=stopped)
    status, told = ready()
    assert status == 503
    assert told["checks"][check]["ok"] is False
    assert [known for known, answer in told["checks"].items() if not answer["ok"]] == [check]


def test_a_sweep_that_is_at_work_is_fine_and_one_that_hangs_is_not_F13(wall: datetime) -> None:
    SweepRun.objects.filter(name="advance_due_services").update(started_at=wall, finished_at=None)
    assert ready()[0] == 200
    hung = wall - health.SWEEP_LATE - timedelta(seconds=5)
    SweepRun.objects.filter(name="advance_due_services").update(started_at=hung, finished_at=None)
    assert ready()[0] == 503


def test_a_sweep_that_fails_each_time_shows_without_its_details(wall: datetime) -> None:
    SweepRun.objects.filter(name="advance_due_services").update(failed_because="OperationalError: password of amp")
    status, told = ready()
    assert status == 503
    assert told["checks"]["sweep"]["why"] == "last run failed"
    assert "password" not in str(told)


@pytest.mark.parametrize("change", [{"connected": False}, {"beat_at": None}, {"late": True}])
def test_a_bridge_without_contact_shows(wall: datetime, change: dict[str, Any]) -> None:
    late = {"beat_at": wall - health.BRIDGE_LATE - timedelta(seconds=5)}
    Bridge.objects.update(**(late if "late" in change else change))
    assert ready()[0] == 503


def test_a_second_bridge_that_stopped_does_no_harm_while_one_listens(wall: datetime) -> None:
    Bridge.objects.create(name="old", connected=True, beat_at=wall - timedelta(days=1))
    assert ready()[0] == 200


@pytest.mark.parametrize("broken", ["_broker", "_database"])
def test_what_is_down_is_named_and_never_a_500(wall: datetime, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail() -> None:
        raise ConnectionError("redis://secret@host")

    monkeypatch.setattr(health, broken, fail)
    status, told = ready()
    assert status == 503
    assert told["checks"][broken.removeprefix("_")] == {"ok": False, "why": "ConnectionError"}
    assert "secret" not in str(told)


def test_the_figures_say_how_far_behind_the_work_is(wall: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    product = make_product()
    device = make_device(product).device
    DeviceService.objects.filter(pk=device.pk).update(due_at=NOW - timedelta(seconds=40), state=State.PENDING.value)
    _paid_order(product, due_at=NOW - timedelta(seconds=7))
    _paid_order(product, due_at=None)
    figures = ready()[1]["figures"]
    assert figures["oldest_due_service_seconds"] == 40
    assert figures["oldest_paid_order_seconds"] == 7
    assert figures["oldest_due_command_seconds"] == 0
    assert figures["dead_orders"] == 1


def _paid_order(product: Any, *, due_at: datetime | None) -> None:
    plan = make_plan(product)
    Order.objects.create(
        enterprise=product.enterprise,
        number=f"N{Order.objects.count()}",
        channel="PUBLIC",
        status=OrderStatus.PAID.value,
        merchant=plan.merchant,
        merchant_name=plan.merchant.name,
        plan=plan,
        plan_name=plan.name,
        level_id=plan.level_id,
        months=12,
        unit_amount=1,
        total=1,
        currency="CNY",
        line_count=1,
        created_at=NOW,
        created_by="test",
        expires_at=NOW,
        paid_at=NOW,
        due_at=due_at,
    )
