"""Sweeps of the alerts. Each finds its work in the database, so a lost or doubled wake-up changes nothing (R5, F12)."""

from __future__ import annotations

from celery import shared_task

from alerts.services import digests, looking, publishing, telling, webhook_notices, webhook_outbox
from alerts.services.webhook_sending import Sender, oldest_due
from amp.foundation import clock
from amp.foundation.lanes import SecondLane
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


@shared_task(name="alerts.tasks.send_notices")
def send_notices() -> int:
    """Notices that fell due: written, and on every channel sent on their way (N1–N9)."""
    with SecondLane("notice_due_ends") as lane:
        found = sweep("notice_due_ends", lambda now: looking.notice_due_ends(now=now, lane=lane), full=looking.CHUNK)
    sweep("tell_devices", lambda now: telling.tell_devices(now=now), full=telling.CHUNK)
    sweep("publish_notices", lambda now: publishing.publish_events(now=now), full=publishing.CHUNK)
    sweep("fill_inboxes", lambda now: publishing.fill_inboxes(now=now), full=publishing.CHUNK)
    return found


@shared_task(name="alerts.tasks.send_digests")
def send_digests() -> int:
    """Mails about services that will expire, mornings and evenings (N8)."""
    made = sweep("make_digests", lambda now: digests.make_digests(now=now, wall=clock.wall()), full=10**9)
    sweep("send_digests", lambda now: digests.send_mails(wall=clock.wall(), now=now), full=digests.MAILS)
    return made


__all__ = ["oldest_due", "send_digests", "send_notices", "send_webhooks"]
