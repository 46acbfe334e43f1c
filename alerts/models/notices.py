"""Expiry notices: one row for each service, end, threshold and channel (N4), and how far ends have been looked at."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.thresholds import Reason, Service
from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from devices.models import Command, Device


class Channel(StrEnum):
    """How a notice goes out: to the device as a property write (N7), or to people and systems that asked (N8)."""

    TSL = "TSL"
    EMAIL = "EMAIL"
    IN_APP = "IN_APP"
    WEBHOOK = "WEBHOOK"


class NoticeStatus(StrEnum):
    """Life of a notice. HANDED_OVER: it has left as a command or in a mail, which tell what became of it."""

    DUE = "DUE"
    HANDED_OVER = "HANDED_OVER"
    SENT = "SENT"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    UNSUPPORTED = "UNSUPPORTED"
    FAILED = "FAILED"


SERVICE_CHOICES = [(Service.SIM.value, "SIM"), (Service.RTK.value, "RTK"), (Service.DEVICE.value, _("Device service"))]
CHANNEL_CHOICES = [
    (Channel.TSL.value, _("Device (TSL)")),
    (Channel.EMAIL.value, _("Mail")),
    (Channel.IN_APP.value, _("Inbox")),
    (Channel.WEBHOOK.value, _("Webhook")),
]
STATUS_CHOICES = [
    (NoticeStatus.DUE.value, _("Due")),
    (NoticeStatus.HANDED_OVER.value, _("Handed over")),
    (NoticeStatus.SENT.value, _("Sent")),
    (NoticeStatus.SKIPPED.value, _("Skipped")),
    (NoticeStatus.CANCELLED.value, _("Cancelled")),
    (NoticeStatus.UNSUPPORTED.value, _("Not supported")),
    (NoticeStatus.FAILED.value, _("Failed")),
]
REASON_CHOICES = [
    ("", ""),
    (Reason.OVERTAKEN.value, _("A more urgent notice took its place.")),
    (Reason.PAST_END.value, _("The service had ended before the notice could go out.")),
    (Reason.FROZEN.value, _("Paid service was off for the product.")),
    (Reason.END_MOVED.value, _("The end was moved before the notice went out.")),
    (Reason.SERVICE_STOPPED.value, _("The service stopped before the notice went out.")),
    (Reason.SWITCHED_OFF.value, _("Alerts were switched off before the notice went out.")),
    (Reason.NO_TSL.value, _("The product has no TSL. Import one with the notice property.")),
    (Reason.NO_PROPERTY.value, _("The product's TSL lacks the notice property, or has it in another form.")),
    (Reason.NO_RECIPIENT.value, _("Nobody who could get the mail is a member of the enterprise.")),
]


class Notice(models.Model):
    """One notice about the end of one service of one device, on one channel; never two of the same (N4, F65).

    A renewal moves the end and with it begins a new cycle: `ends_at` is the end that this notice announces, and it is
    compared with the service's when the notice goes out. What became of one to the device is told by its command.
    """

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    device = models.ForeignKey(Device, models.PROTECT, db_index=False, related_name="notices", verbose_name=_("device"))
    service = models.CharField(_("service"), max_length=6, choices=SERVICE_CHOICES)
    ends_at = models.DateTimeField(_("end announced"))
    days = models.PositiveSmallIntegerField(_("days before"))
    channel = models.CharField(_("channel"), max_length=8, choices=CHANNEL_CHOICES)
    status = models.CharField(_("status"), max_length=12, choices=STATUS_CHOICES, default=NoticeStatus.DUE.value)
    reason = models.CharField(_("reason"), max_length=16, choices=REASON_CHOICES, default="", db_default="", blank=True)
    # What the TSL said about it, in the words of its check.
    detail = models.CharField(max_length=300, default="", db_default="", blank=True)
    falls_due_at = models.DateTimeField(_("due"))
    noticed_at = models.DateTimeField(_("noticed"))
    closed_at = models.DateTimeField(_("done"), null=True)
    command = models.ForeignKey(
        Command,
        models.PROTECT,
        to_field="ticket",
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("command"),
    )

    objects = tenant_manager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [
            models.UniqueConstraint(
                fields=["device", "service", "ends_at", "days", "channel"], name="one_notice_per_end_and_threshold"
            ),
            models.CheckConstraint(condition=~Q(channel="TSL") | Q(days__in=[30, 7, 1]), name="tsl_has_three_values"),
            models.CheckConstraint(
                condition=Q(status__in=["DUE", "HANDED_OVER", "SENT"]) | ~Q(reason=""), name="what_did_not_go_says_why"
            ),
        ]
        indexes = [
            models.Index(fields=["channel", "id"], condition=Q(status="DUE"), name="notice_due"),
            models.Index(fields=["enterprise", "-id"], name="notice_of_enterprise"),
            # Asked by the database for every command that retention deletes.
            models.Index(fields=["command"], condition=Q(command__isnull=False), name="notice_of_command"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} {self.service} -{self.days} d {self.channel}"


class Watch(models.Model):
    """How far the ends of one kind of service have been looked at for one threshold (house pattern 2).

    The next moment of a notice is its service's end less the threshold, and ends are indexed: what fell due since
    `looked_until` is one range of that index. A look that is under way ends at `goal` and goes on after
    (`at_end`, `at_device`).
    """

    service = models.CharField(max_length=6, choices=SERVICE_CHOICES)
    days = models.PositiveSmallIntegerField()
    looked_until = models.DateTimeField()
    goal = models.DateTimeField(null=True)
    at_end = models.DateTimeField(null=True)
    at_device = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("watch")
        verbose_name_plural = _("watches")
        constraints = [models.UniqueConstraint(fields=["service", "days"], name="one_watch_per_threshold")]

    def __str__(self) -> str:
        return f"{self.service} -{self.days} d"
