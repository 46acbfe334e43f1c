"""What of the alerts' tables doesn't stay for ever (X5): deliveries, notices, mails, what was read in the inbox."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from alerts.models import (
    DeliveryStatus,
    DigestMail,
    InboxEntry,
    InboxRead,
    MailStatus,
    Notice,
    NoticeStatus,
    WaitingEvent,
    WebhookAttempt,
    WebhookDelivery,
)
from amp.foundation.services.retention import Kept
from amp.foundation.services.retention_kinds import AUDIT, EVENTS
from devices.models import Command
from devices.models.commands import OPEN_STATUSES
from devices.services.retention import COMMANDS


def _notice_is_over(cutoff: datetime) -> Q:
    """Nothing waits for it, and the end that it announced is as long ago as the limit.

    So it isn't made again: ends are looked at from where the last look stopped, a minute less, and what is announced of
    an end that is over is nothing (N5, `alerts.services.looking`).
    """
    command_is_open = Command._base_manager.filter(ticket=OuterRef("command_id"), status__in=OPEN_STATUSES)
    ended = ~Q(status=NoticeStatus.DUE.value) & Q(closed_at__lt=cutoff, ends_at__lt=cutoff)
    return ended & (Q(command=None) | Q(~Exists(command_is_open)))


def _without_notices(cutoff: datetime) -> Q:
    """A notice reads from its command what became of it, so the command stays as long."""
    notices = Notice._base_manager.filter(device_id=OuterRef("device_id"), command_id=OuterRef("ticket"))
    return COMMANDS.over(cutoff) & Q(~Exists(notices))


def _is_not_on_its_way() -> Q:
    """Nobody has yet to look at the event for webhooks, and no delivery carries it."""
    waits = WaitingEvent._base_manager.filter(pk=OuterRef("pk"))
    carried = WebhookDelivery._base_manager.filter(event_id=OuterRef("pk"))
    return ~Exists(waits) & ~Exists(carried)


def _entry_was_read(cutoff: datetime) -> Q:
    """By somebody, as it stands."""
    reads = InboxRead._base_manager.filter(entry_id=OuterRef("pk"), read_at__gte=OuterRef("last_at"))
    return Q(last_at__lt=cutoff) & Q(Exists(reads))


DELIVERIES = Kept(
    name="deliveries",
    title=_("Webhook deliveries and their attempts"),
    model=WebhookDelivery,
    born="created_at",
    least=7,
    days=90,
    over=lambda cutoff: (
        ~Q(status=DeliveryStatus.PENDING.value)
        & Q(ended_at__lt=cutoff)
        & (Q(leased_until=None) | Q(leased_until__lt=F("ended_at")) | Q(leased_until__lt=cutoff))
    ),
    children=((WebhookAttempt, "delivery_id"),),
)
NOTICES = Kept(
    name="notices",
    title=_("Notices that are over"),
    model=Notice,
    born="noticed_at",
    least=30,
    days=400,
    over=_notice_is_over,
)
MAILS = Kept(
    name="mails",
    title=_("Mails about expiry"),
    model=DigestMail,
    born="created_at",
    least=7,
    days=365,
    over=lambda cutoff: ~Q(status=MailStatus.WAITING.value) & Q(created_at__lt=cutoff),
)
INBOX = Kept(
    name="inbox",
    title=_("Entries of the inbox that were read"),
    model=InboxEntry,
    born="last_at",
    least=30,
    days=365,
    over=_entry_was_read,
    children=((InboxRead, "entry_id"),),
)
COMMANDS_WITHOUT_NOTICES = COMMANDS._replace(over=_without_notices)
EVENTS_SENT = EVENTS._replace(over=lambda cutoff: EVENTS.over(cutoff) & _is_not_on_its_way())
AUDIT_SENT = AUDIT._replace(over=lambda cutoff: AUDIT.over(cutoff) & _is_not_on_its_way())
