"""Tables of the alerts: `notices`, `channels` (who is told, and what was put together for people), `webhooks`."""

from alerts.models.channels import DigestMail, EnterpriseChannels, ExtraThreshold, InboxEntry, InboxRead, MailStatus
from alerts.models.notices import Channel, Notice, NoticeStatus, Watch
from alerts.models.webhooks import (
    DeliveryStatus,
    WaitingEvent,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookState,
    WebhookWhy,
)

__all__ = [
    "Channel",
    "DeliveryStatus",
    "DigestMail",
    "EnterpriseChannels",
    "ExtraThreshold",
    "InboxEntry",
    "InboxRead",
    "MailStatus",
    "Notice",
    "NoticeStatus",
    "WaitingEvent",
    "Watch",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookState",
    "WebhookWhy",
]
