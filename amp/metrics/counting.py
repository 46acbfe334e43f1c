"""Counts and durations of what this process does: requests by view, tasks by name, commands by kind. Labels are
bounded: names of views and tasks, methods and statuses, never paths, tenants or people.

Import it late: it takes the process's slot, and prometheus-client settles at import how values are kept.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Histogram, values

from amp.metrics.slots import directory, slot

log = logging.getLogger(__name__)

os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory())
values.ValueClass = values.MultiProcessValue(slot)  # type: ignore[no-untyped-call]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

HTTP_REQUESTS = Counter(
    "amp_http_requests", "Requests that were answered.", ["view", "method", "status"], registry=None
)
HTTP_SECONDS = Histogram(
    "amp_http_request_seconds",
    "Time until the answer began, in seconds.",
    ["view", "method"],
    registry=None,
    buckets=BUCKETS,
)
TASK_RUNS = Counter("amp_task_runs", "Tasks that ended.", ["task", "outcome"], registry=None)
TASK_SECONDS = Histogram(
    "amp_task_seconds", "How long tasks ran, in seconds.", ["task"], registry=None, buckets=BUCKETS
)
COMMAND_PUBLISHES = Counter(
    "amp_command_publishes", "Commands that were handed to the broker.", ["kind", "outcome"], registry=None
)


def count_request(view: str, method: str, status: int, seconds: float) -> None:
    """One answered request; a method that nobody knows is OTHER."""
    known = method if method in METHODS else "OTHER"
    HTTP_REQUESTS.labels(view, known, str(status)).inc()
    HTTP_SECONDS.labels(view, known).observe(seconds)


def count_task(task: str, outcome: str, seconds: float) -> None:
    """One task that ended; `outcome` is Celery's word: SUCCESS, FAILURE, RETRY."""
    TASK_RUNS.labels(task, outcome).inc()
    TASK_SECONDS.labels(task).observe(seconds)


def count_publishes(counts: Mapping[Any, int]) -> None:
    """Commands by kind and by what became of their publish (`devices.services.published.Fate`)."""
    for (kind, outcome), number in counts.items():
        COMMAND_PUBLISHES.labels(kind.value, outcome.value).inc(number)
