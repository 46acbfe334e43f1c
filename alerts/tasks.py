"""The sweep of webhooks: events become deliveries, deliveries go out, staff hear of endpoints that were disabled."""

from __future__ import annotations

from celery import shared_task

from alerts.services import webhook_notices, webhook_outbox
from alerts.services.webhook_sending import Sender, oldest_due
from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.foundation.sweeping import sweep


@shared_task(name="alerts.tasks.send_webhooks")
def send_webhooks() -> int:
    """Everything that is due (F88). A run ends when nothing is due and no receiver is waited for."""
    sweep("spread_events", lambda now: webhook_outbox.spread_events(now=now), full=webhook_outbox.CHUNK)
    found = _deliver()
    sweep("tell_disabled_webhooks", lambda now: webhook_notices.tell_disabled(now=now), full=1)
    return found


def _deliver() -> int:
    sender = Sender()
    try:
        return sweep("deliver_webhooks", lambda now: sender.turn(now=now, wall=clock.wall()), full=1)
    finally:
        with system_scope():
            sender.finish(clock.now)


__all__ = ["oldest_due", "send_webhooks"]
