"""Channels beside the device's own (N8): who asked for which, and what was put together for people."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.models.notices import SERVICE_CHOICES
from amp.foundation.models import Enterprise, User
from amp.foundation.scoping import tenant_manager


class ExtraThreshold(models.Model):
    """A threshold of the whole platform beside 30, 7 and 1 days: for people and systems, never for devices (N8)."""

    days = models.PositiveSmallIntegerField(_("days before"), primary_key=True)
    added_at = models.DateTimeField(_("added"))

    class Meta:
        verbose_name = _("further threshold")
        verbose_name_plural = _("further thresholds")
        constraints = [
            models.CheckConstraint(condition=Q(days__gte=1, days__lte=365), name="threshold_within_a_year"),
            models.CheckConstraint(condition=~Q(days__in=[30, 7, 1]), name="threshold_is_a_further_one"),
        ]

    def __str__(self) -> str:
        return f"{self.days}"


class EnterpriseChannels(models.Model):
    """Which channels an enterprise asked for, each since when: nothing before that is made up for (N5, N8)."""

    enterprise = models.OneToOneField(
        Enterprise, models.PROTECT, primary_key=True, related_name="+", verbose_name=_("enterprise")
    )
    email_since = models.DateTimeField(_("e-mail since"), null=True)
    in_app_since = models.DateTimeField(_("inbox since"), null=True)
    webhook_since = models.DateTimeField(_("webhooks since"), null=True)
    # When the next mail may go: notices of half a day are told in one.
    digest_due_at = models.DateTimeField(null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("channels of an enterprise")
        verbose_name_plural = _("channels of enterprises")
        indexes = [
            models.Index(fields=["digest_due_at"], condition=Q(digest_due_at__isnull=False), name="digest_due"),
        ]

    def __str__(self) -> str:
        return f"{self.enterprise_id}"


class MailStatus(StrEnum):
    """Life of a mail."""

    WAITING = "WAITING"
    SENT = "SENT"
    FAILED = "FAILED"


class DigestMail(models.Model):
    """One mail to one member: how many devices of an enterprise reach which end. Never one mail a device.

    `counts` is a list of {service, days, devices}. A mail that fails five times is FAILED: operations see it and may
    have it tried again (F15).
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("recipient"))
    counts = models.JSONField()
    status = models.CharField(
        _("status"),
        max_length=8,
        default=MailStatus.WAITING.value,
        choices=[
            (MailStatus.WAITING.value, _("Waiting")),
            (MailStatus.SENT.value, _("Sent")),
            (MailStatus.FAILED.value, _("Failed")),
        ],
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # In real time: a mail server knows no test clock.
    due_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("made"))
    sent_at = models.DateTimeField(_("sent"), null=True)
    problem = models.CharField(_("problem"), max_length=200, default="", db_default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("digest")
        verbose_name_plural = _("digests")
        indexes = [models.Index(fields=["due_at"], condition=Q(status="WAITING"), name="digest_mail_due")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d}"


class InboxEntry(models.Model):
    """What members of an enterprise read in the product: so many devices reached this threshold on that day."""

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    service = models.CharField(_("service"), max_length=6, choices=SERVICE_CHOICES)
    days = models.PositiveSmallIntegerField(_("days before"))
    day = models.DateField(_("day"))
    devices = models.PositiveIntegerField(_("devices"), default=0)
    last_at = models.DateTimeField(_("last"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("inbox entry")
        verbose_name_plural = _("inbox")
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "service", "days", "day"], name="one_entry_per_day"),
        ]
        indexes = [models.Index(fields=["enterprise", "-id"], name="entry_of_enterprise")]

    def __str__(self) -> str:
        return f"{self.enterprise_id} {self.service} -{self.days} d {self.day}"


class InboxRead(models.Model):
    """A member has read an entry as it stood at `read_at`; what was added since makes it unread again."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("user"))
    entry = models.ForeignKey(InboxEntry, models.CASCADE, related_name="reads", verbose_name=_("entry"))
    read_at = models.DateTimeField(_("read"))

    objects = tenant_manager(path="entry__enterprise")

    class Meta:
        verbose_name = _("read")
        verbose_name_plural = _("read")
        constraints = [models.UniqueConstraint(fields=["user", "entry"], name="read_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.entry_id}"
