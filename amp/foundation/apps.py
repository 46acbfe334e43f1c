"""Django app of the foundation."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FoundationConfig(AppConfig):
    """Enterprises, users, events and operations."""

    name = "amp.foundation"
    label = "foundation"
    verbose_name = _("Enterprise")
