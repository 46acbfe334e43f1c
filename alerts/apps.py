"""Django app of the alerts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Expiry notices and who gets them."""

    name = "alerts"
    verbose_name = _("Alerts")
    sends_expiry_notices = True
