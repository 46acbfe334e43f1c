"""Django app of the devices."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DevicesConfig(AppConfig):
    """Devices, their service, presence and commands."""

    name = "devices"
    verbose_name = _("Device")
