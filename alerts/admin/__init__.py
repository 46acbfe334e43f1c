"""Admin of the alerts, by subject."""

from alerts.admin import notices as notices
from alerts.admin import webhooks as webhooks
