"""Tables of the alerts: `webhooks`."""

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
    "DeliveryStatus",
    "WaitingEvent",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookState",
    "WebhookWhy",
]
