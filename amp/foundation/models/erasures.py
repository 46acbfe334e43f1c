"""Persons who asked to be forgotten, and under which name their traces go on (X6)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.users import User


class Erasure(models.Model):
    """One person's erasure. While it lasts, the sealed texts say what is replaced; at its end they are gone.

    `pseudonym` is random and the same everywhere, so that what one person did still hangs together.
    """

    pseudonym = models.CharField(_("pseudonym"), max_length=24, unique=True)
    user = models.OneToOneField(User, models.PROTECT, null=True, related_name="+", verbose_name=_("user"))
    sealed_traces = models.TextField(editable=False, default="")
    asked_by = models.CharField(_("by"), max_length=160)
    began_at = models.DateTimeField(_("began"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")

    def __str__(self) -> str:
        return self.pseudonym
