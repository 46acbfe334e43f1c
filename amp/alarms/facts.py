"""What the rules of alarms look at, in the caller's scope: a fixed number of queries, each of an index's first rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet

from amp.alarms.rules import Facts, Hold, Sweep
from amp.dead import dead_numbers
from amp.foundation.models import SweepRun, TestClock
from amp.operations.limits import vital_tasks
from amp.schedule import scheduled
from billing.models import Order, OrderStatus, Refund
from devices.brakes import HoldReason, at_work, is_away
from devices.lifecycle import AUTO_RETRY, State
from devices.models import Command, DeviceService, HoldStatus, LockHold
from devices.services.lock_brakes import known_listeners

NAMED = 50
"""Brakes that are told one by one; more of them would be one fault."""


def read_facts(*, now: datetime) -> Facts:
    """Everything, as it stands at `now` (product time)."""
    soon = DeviceService.objects.filter(due_at__lte=now + AUTO_RETRY)  # a kept trial is looked at so often (A11)
    kept = soon.filter(state=State.TRIAL.value, auto_failed_at__isnull=False)
    kept_trials = kept.aggregate(number=Count("pk"), since=Min("auto_failed_at"))
    tasks = scheduled()
    return Facts(
        holds=_holds(),
        away=_away(now),
        sweeps=_sweeps(tasks),
        off=[task for task in vital_tasks() if task not in tasks],
        due={
            "services": _oldest(DeviceService.objects.all()),
            "commands": _oldest(Command.objects.all()),
            "orders": _oldest(Order.objects.filter(status=OrderStatus.PAID.value)),
            "refunds": _oldest(Refund.objects.all()),
        },
        dead=dead_numbers(),
        kept_trials=kept_trials["number"],
        kept_since=kept_trials["since"],
        clock_moved_at=TestClock.objects.values_list("moved_at", flat=True).first(),
    )


def _sweeps(tasks: Mapping[str, int]) -> list[Sweep]:
    """Those whose task is on: the row of a sweep that was taken off the schedule stays, and nobody waits for it."""
    return [
        Sweep(
            run.name,
            run.finished_at or run.started_at,
            bool(run.failed_because),
            timedelta(seconds=tasks[run.task]),
        )
        for run in SweepRun.objects.order_by("name")
        if run.task in tasks
    ]


def _holds() -> list[Hold]:
    waiting = LockHold.objects.filter(status=HoldStatus.HOLDING.value, reason=HoldReason.TOO_MANY.value)
    rows = waiting.order_by("began_at").values_list("pk", "enterprise__name", "began_at")[:NAMED]
    held = Command.objects.filter(hold__in=[pk for pk, _name, _at in rows]).order_by()
    numbers = dict(held.values_list("hold").annotate(number=Count("pk")))
    return [Hold(pk, name, numbers.get(pk, 0), began_at) for pk, name, began_at in rows]


def _away(now: datetime) -> list[tuple[str, datetime]]:
    return [(each.name, each.heard_at) for each in at_work(known_listeners()) if is_away(each, now)]


def _oldest(rows: QuerySet[Any]) -> datetime | None:
    oldest: datetime | None = (
        rows.filter(due_at__isnull=False).order_by("due_at").values_list("due_at", flat=True)[:1].first()
    )
    return oldest
