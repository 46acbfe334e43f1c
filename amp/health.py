"""Health for orchestrators: alive, and ready to do the work that is due (X10)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe

from amp.dead import dead_numbers
from amp.foundation import clock
from amp.foundation.models import AlarmRow, SweepRun
from amp.foundation.scoping import system_scope
from amp.operations import waiting
from devices.models import Bridge

log = logging.getLogger(__name__)

SWEEP_LATE = timedelta(seconds=180)
"""Three intervals of the slowest sweep that others wait for (F13)."""
WORKER_LATE = timedelta(seconds=90)
BRIDGE_LATE = timedelta(seconds=30)
FRESH_SECONDS = 3.0
"""How long an answer of readiness is given again; below any probe's interval."""

_looking = threading.Lock()
_looked_at = 0.0
_seen: tuple[dict[str, Any], int] | None = None


@require_safe
def live(_: HttpRequest) -> JsonResponse:
    """The process answers."""
    return _answer({"status": "ok"})


@require_safe
def ready(_: HttpRequest) -> JsonResponse:
    """Database, broker, bridge, worker and sweeps are at work; 503 names those that are not.

    Anybody may ask, and the answer costs connections: each process looks at most every few seconds.
    """
    global _looked_at, _seen
    with _looking:
        if _seen is None or time.monotonic() - _looked_at >= FRESH_SECONDS:
            _seen, _looked_at = _look(), time.monotonic()
        answer, status = _seen
    return _answer(answer, status=status)


def forget() -> None:
    """Look anew at the next question."""
    global _seen
    _seen = None


def _look() -> tuple[dict[str, Any], int]:
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
    return answer, 200 if healthy else 503


def _answer(content: dict[str, Any], status: int = 200) -> JsonResponse:
    return JsonResponse(content, status=status, headers={"Cache-Control": "no-store"})


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
    """A sweep's last run is young and did not fail; a process that lives but consumes nothing shows here (F07).

    While it runs, it is as old as its start: one that hangs grows old too.
    """
    run = SweepRun.objects.filter(name=name).first()
    if run is None:
        return {"ok": False, "why": "never ran"}
    age = {"age_seconds": round((wall - (run.finished_at or run.started_at)).total_seconds(), 1)}
    if run.failed_because:
        return {"ok": False, "why": "last run failed", **age}
    return {"ok": age["age_seconds"] <= late.total_seconds(), **age}


def _bridge(wall: datetime) -> dict[str, Any]:
    """At least one bridge hears its own echo from the MQTT broker."""
    beats = list(Bridge.objects.filter(connected=True).values_list("beat_at", flat=True))
    ages = [wall - beat for beat in beats if beat]
    if not ages:
        return {"ok": False, "why": "no bridge is connected"}
    return {"ok": min(ages) <= BRIDGE_LATE, "age_seconds": round(min(ages).total_seconds(), 1)}


def _figures(now: datetime) -> dict[str, Any]:
    """How far behind the work is, in seconds of product time, and what waits for a person."""
    with system_scope():
        ages, waits = waiting.oldest_work(now), waiting.waiting()
        return {
            "ok": True,
            "oldest_due_service_seconds": ages["services"],
            "oldest_due_command_seconds": ages["commands"],
            "oldest_paid_order_seconds": ages["paid_orders"],
            "oldest_due_refund_seconds": ages["refunds"],
            "oldest_due_webhook_seconds": ages["webhooks"],
            "open_alarms": AlarmRow.objects.filter(cleared_at=None).count(),
            "held_locks": waits.held_locks,
            "open_payment_exceptions": waits.payment_exceptions,
            "unknown_payments": waits.unknown_payments,
            **{f"dead_{kind}": number for kind, number in dead_numbers().items()},
        }


urlpatterns = [path("live", live), path("ready", ready)]
