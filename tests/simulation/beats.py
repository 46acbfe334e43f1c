"""Beat and the workers: the product's own tasks, when something is due for them, and when services wake them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection

import alerts.tasks
import billing.tasks
import devices.tasks
from tests.simulation.clockwork import SECOND
from tests.simulation.deaths import run_twin

if TYPE_CHECKING:
    from tests.simulation.run import Run

TASKS: dict[str, Callable[[], int]] = {
    "advance": devices.tasks.advance_due_services,
    "fulfil": billing.tasks.fulfil_paid_orders,
    "dispatch": devices.tasks.dispatch_commands,
    "close": devices.tasks.close_commands,
    "holds": devices.tasks.work_off_lock_holds,
    "poll": billing.tasks.poll_attempts,
    "expire": billing.tasks.expire_orders,
    "refunds": billing.tasks.work_refunds,
    "sandbox": billing.tasks.send_sandbox_notices,
    "notices": alerts.tasks.send_notices,
}
RARELY: dict[str, Callable[[], int]] = {
    "silent": devices.tasks.close_silent_sessions,
    "digests": alerts.tasks.send_digests,
    "webhooks": alerts.tasks.send_webhooks,
    "figures": devices.tasks.count_devices,
}
BY_NAME = {task.name: short for short, task in (TASKS | RARELY).items()}  # type: ignore[attr-defined]
DUE = """
    SELECT (SELECT min(due_at) FROM devices_deviceservice),
           (SELECT min(due_at) FROM billing_order WHERE status = 'PAID'),
           (SELECT min(due_at) FROM devices_command WHERE status = 'PENDING'),
           least((SELECT min(due_at) FROM devices_command WHERE status = 'SENT'),
                 (SELECT min(stale_at) FROM devices_command WHERE status = 'PENDING' AND hold_id IS NULL)),
           (SELECT min(due_at) FROM devices_lockhold),
           (SELECT min(due_at) FROM billing_paymentattempt),
           (SELECT min(due_at) FROM billing_order WHERE status = 'PENDING'),
           (SELECT min(due_at) FROM billing_refund),
           (SELECT min(notify_due_at) FROM billing_sandboxtrade)
"""
JUST_AFTER = timedelta(milliseconds=1)
APART = 5 * SECOND


@dataclass
class Beats:
    """Several schedulers at once, or none for a while: nothing may depend on it (F12, F13)."""

    run: Run
    number: int = 1
    stopped_until: datetime | None = None
    last_at: datetime | None = None
    all_at: datetime | None = None
    looked_at: datetime | None = None
    planned_at: datetime | None = None
    # What was due when the next moment was planned; nothing has run since, else another one would be planned.
    due: dict[str, datetime] = field(default_factory=dict)

    def plan_next(self) -> None:
        """The next moment at which a beat finds anything, or the next round of everything."""
        self.due = self._due()
        at = max(min([*self.due.values(), self._round_at()]), (self.last_at or self.run.clock.at) + APART)
        if self.stopped_until:
            at = max(at, self.stopped_until)
        if self.planned_at != at:  # else it is planned already
            self.planned_at = at
            self.run.plan(at - self.run.clock.at, "", lambda: self._beat(at))

    def _due(self) -> dict[str, datetime]:
        """True time at which each task has something to do."""
        with connection.cursor() as cursor:
            cursor.execute(DUE)
            found = dict(zip(list(TASKS)[:-1], cursor.fetchone(), strict=True))
        found["notices"] = self.run.checks.next_notice(self.looked_at)
        skew = self.run.clock.skew
        return {name: at - skew + JUST_AFTER for name, at in found.items() if at}

    def _round_at(self) -> datetime:
        return (self.all_at or self.run.clock.at) + self.run.profile.round_every

    def _beat(self, planned_at: datetime) -> str:
        if planned_at != self.planned_at:
            return ""  # something came up meanwhile, and another moment was planned
        now, due = self.run.clock.at, self.due
        self.last_at, self.stopped_until = now, None
        names = [name for name in TASKS if name in due and due[name] <= now]
        if now >= self._round_at():
            self.all_at, names = now, [*TASKS, *RARELY]
        for name in names:
            for _each in range(self.number):
                self.run.step(f"task {name}", lambda name=name: self.work(name))
        self.planned_at = None
        self.plan_next()
        self.run.is_stale = False
        return ""

    def work(self, name: str) -> str:
        """One task in a process of its own."""
        task = (TASKS | RARELY)[name]
        began = self.run.clock.now()
        how = self.run.process(task)
        if how.died:
            self.run.checks.attempted(name, began)
            return "died"
        if name == "notices":
            self.looked_at = began
        self.run.checks.worked(name, began)
        return f"{how.value}" + (f", {how.twin}" if how.twin else "")

    def woken(self, task: str) -> None:
        """A service asks for a task; Redis may have lost that."""
        name = BY_NAME.get(task)
        if name and not self.run.happens("redis_empty"):
            self.run.plan(SECOND * self.run.chance.uniform(0.01, 0.3), f"woken {name}", lambda: self.work(name))

    def twin(self) -> str:
        """Another worker with a task of its own, between two statements of somebody else's."""
        name = self.run.chance.choice(list(TASKS))
        self.run.checks.attempted(name, self.run.clock.now())
        return f"{name} {run_twin(TASKS[name])}"
