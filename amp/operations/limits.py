"""How often each task has to run, and which promise is broken where it runs less often. Seconds throughout.

Pure. A task that isn't named here is no promise of ours: it may run as seldom as anybody likes, or not at all.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

LEAST, MOST = 1, 86_400
"""Any interval lies between these."""


class Promise(StrEnum):
    """What somebody was told; `words` has the sentences."""

    LOCK = "lock"
    DELIVERY = "delivery"
    PAYMENT = "payment"
    PRESENCE = "presence"
    NOTICE = "notice"
    WATCH = "watch"


class Limit(NamedTuple):
    """`longest` interval that keeps `promise`; a `vital` task isn't switched off by one click."""

    longest: int
    promise: Promise
    vital: bool = True


class Breach(NamedTuple):
    """What a change would break: a promise, by an interval that is too long, or by running no more (`longest` 0)."""

    promise: Promise
    longest: int


LIMITS: dict[str, Limit] = {
    "devices.tasks.advance_due_services": Limit(60, Promise.LOCK),
    "devices.tasks.dispatch_commands": Limit(5, Promise.DELIVERY),
    "devices.tasks.close_commands": Limit(60, Promise.DELIVERY),
    "devices.tasks.work_off_lock_holds": Limit(60, Promise.LOCK),
    "devices.tasks.close_silent_sessions": Limit(60, Promise.PRESENCE),
    "devices.tasks.end_connections": Limit(60, Promise.PRESENCE),
    "billing.tasks.fulfil_paid_orders": Limit(60, Promise.PAYMENT),
    "billing.tasks.poll_attempts": Limit(60, Promise.PAYMENT),
    "billing.tasks.work_refunds": Limit(60, Promise.PAYMENT),
    "billing.tasks.expire_orders": Limit(60, Promise.PAYMENT),
    "alerts.tasks.send_notices": Limit(60, Promise.NOTICE),
    "alerts.tasks.send_digests": Limit(600, Promise.NOTICE, vital=False),
    "alerts.tasks.send_webhooks": Limit(60, Promise.NOTICE),
    "amp.tasks.watch_alarms": Limit(60, Promise.WATCH),
    "amp.foundation.tasks.beat_heart": Limit(60, Promise.WATCH),
}
"""Promise 8: sweeps are at most 60 s apart, a lock comes at most 90 s after its service's end, and an unlock leaves
within 5 s of its payment. The heartbeat is late after 90 s (F07)."""


def breach(task: str, seconds: float, *, enabled: bool) -> Breach | None:
    """What that interval would break; None where all is kept."""
    limit = LIMITS.get(task)
    if limit is None:
        return None
    if not enabled:
        return Breach(limit.promise, 0) if limit.vital else None
    return Breach(limit.promise, limit.longest) if seconds > limit.longest else None


def vital_tasks() -> list[str]:
    """Tasks without which locks, unlocks, money or warnings stand still."""
    return sorted(task for task, limit in LIMITS.items() if limit.vital)
