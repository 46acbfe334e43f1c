"""Health for orchestrators: alive, and ready to do the work that is due (X10)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe

from amp.foundation import clock
from amp.foundation.models import SweepRun
from amp.foundation.scoping import system_scope
from billing.models import Order, OrderStatus
from devices.models import Bridge, DeviceService

log = logging.getLogger(__name__)

SWEEP_LATE = timedelta(seconds=180)
"""Three intervals of the slowest sweep that others wait for (F13)."""
WORKER_LATE = timedelta(seconds=90)
BRIDGE_LATE = timedelta(seconds=30)


@require_safe
def live(_: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(_: HttpRequest) -> JsonResponse:
    """Database, broker, bridge, worker and sweeps are at work; 503 names those that are not."""
    wall, now = clock.wall(), clock.now()
    checks = {
        "database": _checked(_database),
        "broker": _checked(_broker),
        "worker": _checked(lambda: _fresh("worker_heartbeat", wall, WORKER_LATE)),
        "sweep": _checked(lambda: _fresh("advance_due_services", wall, SWEEP_LATE)),
        "mqtt": _checked(lambda: _bridge(wall)),
    }
    healthy = all(check["ok"] for check in checks.values())
    figures = _checked(lambda: _figures(now)) if checks["database"]["ok"] else {"ok": False}
    answer = {"status": "ok" if healthy else "unavailable", "checks": checks, "figures": figures}
    return JsonResponse(answer, status=200 if healthy else 503)


def _checked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The check's answer; whatever it raises is an answer too, without details that help an attacker."""
    try:
        return check()
    except Exception as failed:  # noqa: BLE001 (health must answer whatever is broken)
        log.warning("Health check failed: %s", failed)
        return {"ok": False, "why": type(failed).__name__}


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return {"ok": True}


def _broker() -> dict[str, Any]:
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=0, timeout=2)
    return {"ok": True}


def _fresh(name: str, wall: datetime, late: timedelta) -> dict[str, Any]:
    """A sweep's last finished run is young enough; a process that lives but consumes nothing shows here (F07)."""
    run = SweepRun.objects.filter(name=name).first()
    if run is None or run.finished_at is None:
        return {"ok": False, "why": "never ran"}
    age = wall - run.finished_at
    return {"ok": age <= late, "age_seconds": round(age.total_seconds(), 1)}


def _bridge(wall: datetime) -> dict[str, Any]:
    """At least one bridge hears its own echo from the MQTT broker."""
    beats = list(Bridge.objects.filter(connected=True).values_list("beat_at", flat=True))
    ages = [wall - beat for beat in beats if beat]
    if not ages:
        return {"ok": False, "why": "no bridge is connected"}
    return {"ok": min(ages) <= BRIDGE_LATE, "age_seconds": round(min(ages).total_seconds(), 1)}


def _figures(now: datetime) -> dict[str, Any]:
    """Ages that say how far behind the work is, in seconds of product time."""
    with system_scope():
        due = DeviceService.objects.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True).first()
        paid = (
            Order.objects.filter(status=OrderStatus.PAID.value, due_at__lte=now)
            .order_by("due_at")
            .values_list("due_at", flat=True)
            .first()
        )
    return {
        "ok": True,
        "oldest_due_service_seconds": _age(now, due),
        "oldest_paid_order_seconds": _age(now, paid),
    }


def _age(now: datetime, moment: datetime | None) -> float:
    return round((now - moment).total_seconds(), 1) if moment else 0.0


urlpatterns = [path("live", live), path("ready", ready)]
