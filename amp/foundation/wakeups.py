"""How a service tells Celery that rows wait: by task name, after the commit, best effort (F06, F08, F09, F10).

Nothing is lost when Redis is away or empty: beat's sweeps find every row anyway. A wake-up only saves seconds.
"""

from __future__ import annotations

import logging
from functools import partial

from celery import current_app
from django.db import transaction

from amp.foundation.crashing import crash_point

log = logging.getLogger(__name__)


def wake(task: str) -> None:
    """Send the task `task` (its registered name, no arguments) once the current transaction has committed."""
    transaction.on_commit(partial(_send, task), robust=True)


def _send(task: str) -> None:
    crash_point("wakeup.unsent")
    try:
        current_app.send_task(task, ignore_result=True, retry=False)
    except Exception as lost:  # noqa: BLE001 (whatever a broker raises, the caller's work is done and committed)
        log.warning("Wake-up %s was not sent (%s); the next sweep finds the rows.", task, lost)
