"""Django app of the catalogue."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogConfig(AppConfig):
    """Products, rules, levels and plans."""

    name = "catalog"
    verbose_name = _("Catalogue")
