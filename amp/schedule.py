"""What beat wakes, and how often: defaults that operations may edit afterwards (stack: no static beat_schedule).

Rows are made after `migrate` and never overwritten. Intervals only, in UTC: no daylight saving can double or skip one
(F14).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.utils.translation import gettext_noop as _
from django_celery_beat.models import IntervalSchedule, PeriodicTask

DAY = 86_400


class Beat(NamedTuple):
    """One line of the schedule."""

    name: str
    task: str
    seconds: int


def defaults() -> list[Beat]:
    """The sweeps of this installation. Lifecycle and dispatch bound how late a lock or an unlock can be."""
    often, dispatch = settings.SWEEP_SECONDS, settings.DISPATCH_SECONDS
    return [
        Beat(_("Move services that are due"), "devices.tasks.advance_due_services", often),
        Beat(_("Send waiting commands"), "devices.tasks.dispatch_commands", dispatch),
        Beat(_("Close commands"), "devices.tasks.close_commands", dispatch),
        Beat(_("Release held locks"), "devices.tasks.work_off_lock_holds", dispatch),
        Beat(_("Close silent sessions"), "devices.tasks.close_silent_sessions", max(often, 10)),
        Beat(_("End connections of revoked devices"), "devices.tasks.end_connections", max(often, 10)),
        Beat(_("Renew devices of paid orders"), "billing.tasks.fulfil_paid_orders", often),
        Beat(_("Ask gateways about open payments"), "billing.tasks.poll_attempts", often),
        Beat(_("Send refunds and ask about them"), "billing.tasks.work_refunds", often),
        Beat(_("Close expired orders"), "billing.tasks.expire_orders", max(often, 10)),
        Beat(_("Fetch daily bills from gateways"), "billing.tasks.fetch_bills", 60),
        Beat(_("Repeat notices of the sandbox"), "billing.tasks.send_sandbox_notices", max(often, 10)),
        Beat(_("Send expiry notices"), "alerts.tasks.send_notices", often),
        Beat(_("Send mails about expiry"), "alerts.tasks.send_digests", max(often, 10)),
        Beat(_("Count devices for the overview"), "devices.tasks.count_devices", max(often, 3)),
        Beat(_("Count sales for the overview"), "billing.tasks.count_sales", max(often, 3)),
        Beat(_("Work off imports"), "devices.tasks.run_imports", max(often, 10)),
        Beat(_("Send webhooks"), "alerts.tasks.send_webhooks", dispatch),
        Beat(_("Forget old selections of devices"), "billing.tasks.forget_selections", 3600),
        Beat(_("Forget answers to repeated requests"), "amp.foundation.tasks.forget_answers", 3600),
        Beat(_("Delete rows that are kept no longer"), "amp.tasks.forget_old_rows", 600),
        Beat(_("Watch for alarms"), "amp.tasks.watch_alarms", max(often, 20)),
        Beat(_("Worker heartbeat"), "amp.foundation.tasks.beat_heart", 15),
    ]


def make_schedule(**_: Any) -> None:
    """Add the rows that are missing (signal receiver of `post_migrate`)."""
    for beat in defaults():
        every, _created = IntervalSchedule.objects.get_or_create(every=beat.seconds, period=IntervalSchedule.SECONDS)
        # A wake-up that waited longer than its interval is worth nothing: the next one finds the same rows.
        PeriodicTask.objects.get_or_create(
            name=beat.name,
            defaults={"task": beat.task, "interval": every, "expire_seconds": expires_after(beat.seconds)},
        )


def expires_after(seconds: int) -> int:
    """After how many seconds a wake-up that nobody took is thrown away."""
    return max(seconds * 3, 10)


def interval_of(row: PeriodicTask) -> int | None:
    """Seconds between two runs; None where the row has another kind of schedule."""
    return int(row.interval.schedule.run_every.total_seconds()) if row.interval else None


def scheduled() -> dict[str, int]:
    """Tasks that are on, with the shortest interval of each in seconds, a day where it isn't told; one query."""
    tasks: dict[str, int] = {}
    for row in PeriodicTask.objects.filter(enabled=True).select_related("interval").order_by("pk"):
        seconds = interval_of(row) or DAY
        tasks[row.task] = min(seconds, tasks.get(row.task, seconds))
    return tasks
