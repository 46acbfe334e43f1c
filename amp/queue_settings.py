"""Two queues of wake-ups: what somebody waits for isn't kept waiting by what takes its time (R5, F88).

A worker without `--queues` takes both. Where each has workers of its own, a receiver that hangs, a slow gateway, a mail
server or a long import holds up others of their kind alone: a device is locked and unlocked in time all the same.
"""

from __future__ import annotations

from kombu import Queue

URGENT = "urgent"
"""What a device or somebody who has paid waits for. Such a task asks nobody but the database and the MQTT broker."""
DEFAULT = "celery"
"""Everything else, and the heartbeat."""

# Celery would give both the routing key of the default queue: what is published by that key would come to both.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in (DEFAULT, URGENT)]
CELERY_TASK_ROUTES = {
    task: {"queue": URGENT}
    for task in (
        "billing.tasks.fulfil_paid_orders",
        "devices.tasks.advance_due_services",
        "devices.tasks.close_commands",
        "devices.tasks.close_silent_sessions",
        "devices.tasks.dispatch_commands",
        "devices.tasks.work_off_lock_holds",
    )
}
