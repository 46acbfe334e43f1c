"""What operations look at first: when each sweep last ran; and the test clock of demo and test mode."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class SweepRun(models.Model):
    """Last run of one sweep, in real time; a heartbeat too: a worker that consumes nothing shows here (F07, F13)."""

    name = models.CharField(_("sweep"), max_length=60, primary_key=True)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    # Since when runs have begun and none has ended: they die, or hang (F15).
    unfinished_since = models.DateTimeField(null=True)
    found = models.PositiveIntegerField(_("rows found"), default=0)
    oldest_due_at = models.DateTimeField(_("oldest due"), null=True)
    failed_because = models.CharField(_("failed because"), max_length=400, default="")

    class Meta:
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return self.name


class TestClock(models.Model):
    """How far the product's time is ahead of real time; one row at most, never in production."""

    __test__ = False  # its name would make pytest take it for a class of tests

    shift = models.DurationField(default=timedelta)
    # Real time of the move: silence timers start anew after it (P4).
    moved_at = models.DateTimeField()

    class Meta:
        verbose_name = _("test clock")
        verbose_name_plural = _("test clock")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_test_clock")]

    def __str__(self) -> str:
        return str(self.shift)
