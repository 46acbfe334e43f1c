"""Views of lists that people keep: filters, ordering and columns under a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise
from amp.foundation.scoping import tenant_manager


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    """Verbs over saved views."""

    def of_list(self, name: str, *, reader_id: int) -> SavedViewQuerySet:
        """The reader's own views of that list, and those that were shared."""
        return self.filter(list_name=name).filter(models.Q(owner_id=reader_id) | models.Q(is_shared=True))


class SavedView(models.Model):
    """What one member made of one list: the query of its address, never rows. Shared ones are seen by others (F76)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("by"))
    # "devices.device": the table whose list it is.
    list_name = models.CharField(max_length=60)
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(max_length=2_000, blank=True)
    is_shared = models.BooleanField(_("shared"), default=False)
    created_at = models.DateTimeField(_("saved"))

    objects = tenant_manager(SavedViewQuerySet)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [
            models.UniqueConstraint(fields=["owner", "list_name", "name"], name="one_view_of_a_name_per_owner_and_list")
        ]

    def __str__(self) -> str:
        return self.name
