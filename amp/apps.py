"""Django app of the roof: management commands, templates and the wiring between apps."""

from django.apps import AppConfig


class AmpConfig(AppConfig):
    """The roof has no models; it is installed for its commands and its schedule."""

    name = "amp"
    verbose_name = "AMP"
