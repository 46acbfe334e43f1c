"""How long rows of each kind are kept, and how far retention has looked (X5)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Retention(models.Model):
    """One kind of rows: the decision of the platform's administrators, and the place of the walk through its table.

    `days` is null where nobody has decided (as installed holds), and 0 for ever. Every row up to `at_id` was looked at
    since `began_at` (real time); rows that had to stay then are looked at again in the next walk.
    """

    name = models.CharField(max_length=24, primary_key=True)
    days = models.PositiveIntegerField(_("days"), null=True)
    at_id = models.BigIntegerField(default=0)
    began_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retention")

    def __str__(self) -> str:
        return self.name
