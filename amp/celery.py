"""The Celery app: how rows of work are woken. The rows themselves live in the database (R5)."""

import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
app = Celery("amp")
app.set_default()  # web servers run threads: without this, `current_app` is ours in the importing thread only
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logs(**_: object) -> None:
    """Celery sets up no logging where somebody listens here: ours is in the settings (X10)."""


@before_task_publish.connect
def send_along(headers: dict[str, Any] | None = None, **_: object) -> None:
    """What goes with each message (X10)."""
    from amp.observing import send_along

    send_along(headers)


@task_prerun.connect
def begin_task(task_id: str = "", task: Any = None, **_: object) -> None:
    """Before a task runs (X10)."""
    from amp.observing import begin_task

    begin_task(task_id, task)


@task_postrun.connect
def end_task(task_id: str = "", task: Any = None, state: str | None = None, **_: object) -> None:
    """After it ran (X10)."""
    from amp.observing import end_task

    end_task(task_id, task, state)


_port: list[Any] = []


@worker_ready.connect
def open_metrics_port(**_: object) -> None:
    """AMP_METRICS_PORT of a worker tells what the worker's processes counted (X10)."""
    from django.conf import settings

    from amp.metrics.exposition import serve_workers

    if settings.METRICS_PORT:
        _port.append(serve_workers(settings.METRICS_PORT))


@worker_process_init.connect
@worker_shutting_down.connect
def close_metrics_port(**_: object) -> None:
    """A child that is forked later holds the socket too, and would keep the port busy after its parent's end."""
    while _port:
        _port.pop().socket.close()


@worker_init.connect
@worker_process_init.connect
def settle_collector(**_: object) -> None:
    """Before the first task: in the process that forks, and in each of its children, which load more by then."""
    from amp.tuning import settle

    settle()


@worker_init.connect
@beat_init.connect
def look_at_the_database(**_: object) -> None:
    """A worker does not start on a weak database either (X9). Celery logs exceptions of receivers and goes on."""
    from django.core.exceptions import ImproperlyConfigured

    from amp.starting import refuse_weak_database

    try:
        refuse_weak_database()
    except ImproperlyConfigured as weak:
        raise SystemExit(str(weak)) from weak
