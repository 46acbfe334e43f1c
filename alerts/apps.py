"""Django app of the alerts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Holds the place of notices and webhooks; it has no tables yet."""

    name = "alerts"
    verbose_name = _("Alerts")
