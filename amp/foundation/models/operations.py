"""What operations look at first: when each sweep last ran; and the test clock of demo and test mode."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
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
    # The Celery task that ran it: what leaves the schedule is missed by nobody. "" where none ran it yet.
    task = models.CharField(_("task"), max_length=120, default="", db_default="")
    seconds = models.FloatField(_("took"), null=True)
    # The last runs that found rows or failed, newest first: a run that found nothing tells nothing.
    recent = models.JSONField(default=list, db_default=[])

    class Meta:
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return self.name


class AlarmRow(models.Model):
    """Something that is wrong with the platform, from its beginning to its end (product time); each is mailed once.

    `key` names it while it lasts; `told` is "" until a mail about its beginning left, then BEGUN, at last CLEARED.
    `due_at` is when a mail is tried next, null where nothing is to be told.
    """

    key = models.CharField(max_length=120)
    kind = models.CharField(_("alarm"), max_length=24)
    subject = models.CharField(_("about"), max_length=160, default="")
    number = models.PositiveIntegerField(_("number"), default=0)
    began_at = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))
    cleared_at = models.DateTimeField(_("over since"), null=True)
    told = models.CharField(_("mailed"), max_length=8, default="")
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=300, default="")

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(cleared_at=None), name="one_open_alarm_of_a_key")
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="alarm_due")]

    def __str__(self) -> str:
        return self.key

    @property
    def state(self) -> str:
        """What a mail tells of it now."""
        return "CLEARED" if self.cleared_at else "BEGUN"


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
