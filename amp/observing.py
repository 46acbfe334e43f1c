"""Around every request and every task: one line in the log, one more in the counts, and the id that both go by (X10).

A request's id goes along with the tasks that it wakes, and with those that they wake: one id follows a payment from the
gateway's notice to the command to the device. A task that nobody's request woke gives its own id on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from amp.foundation import clock
from amp.foundation.api.request_ids import current_request_id, named_request
from amp.operations.queues import SENT_AT

log = logging.getLogger(__name__)
access = structlog.stdlib.get_logger("amp.access")
tasks = structlog.stdlib.get_logger("amp.tasks")

REQUEST_ID = "amp_request_id"
"""Header of a message: on whose behalf it was sent."""
QUIET = ("/health/", "/metrics")
"""What is asked every few seconds is counted and not told."""
QUICK_SECONDS = 1.0
"""Sweeps that beat wakes every few seconds are told where they took longer than this, or failed."""


class ObservedRequestMiddleware:
    """Tells and counts each request by the name of its view; the path may hold a secret and is not told (F83)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        from amp.metrics.counting import count_request

        self.get_response = get_response
        self.count = count_request

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Right below the one that names requests."""
        began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        try:
            response = self.get_response(request)
            self._note(request, response.status_code, time.perf_counter() - began)
            return response
        finally:
            structlog.contextvars.clear_contextvars()

    def _note(self, request: HttpRequest, status: int, seconds: float) -> None:
        match = request.resolver_match
        try:
            self.count(match.view_name if match else "none", request.method or "", status, seconds)
        except (OSError, ValueError):
            log.exception("A request could not be counted.")
        if not request.path_info.startswith(QUIET):
            route = match.route if match else "none"
            told = {"method": request.method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            access.info("request", **told)


def send_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Signal before a message leaves: whose request it belongs to, and when it was sent."""
    if headers is not None:
        headers[REQUEST_ID] = current_request_id()
        headers[SENT_AT] = clock.wall().isoformat()


def begin_task(task_id: str = "", task: Any = None, **_: Any) -> None:
    """Signal before a task runs: it goes by the id of the request that woke it, else by its own."""
    around = ExitStack()
    woken_by = getattr(task.request, REQUEST_ID, "") or ""
    around.enter_context(named_request(str(woken_by) or task_id))
    around.enter_context(structlog.contextvars.bound_contextvars(task=task.name, task_id=task_id))
    _running[task_id] = (around, time.perf_counter(), bool(woken_by))


def end_task(task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
    """Signal after a task ran, in whatever way."""
    around, began, is_asked = _running.pop(task_id, (None, 0.0, False))
    if around is None:
        return
    with around:
        seconds, outcome = time.perf_counter() - began, state or "UNKNOWN"
        _count_task(task.name, outcome, seconds)
        is_news = is_asked or outcome != "SUCCESS" or seconds > QUICK_SECONDS
        tasks.log(logging.INFO if is_news else logging.DEBUG, "task", outcome=outcome, ms=round(seconds * 1000, 1))


def _count_task(name: str, outcome: str, seconds: float) -> None:
    from amp.metrics.counting import count_task

    try:
        count_task(name, outcome, seconds)
    except (OSError, ValueError):
        log.exception("A task could not be counted.")


def count_publishes(counts: Any = None, **_: Any) -> None:
    """Signal after commands were handed to the broker, from whichever process did it."""
    from amp.metrics.counting import count_publishes

    count_publishes(counts)


_running: dict[str, tuple[ExitStack | None, float, bool]] = {}
