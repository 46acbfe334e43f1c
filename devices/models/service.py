"""The commercial state of a device, and the append-only ledger of its periods."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from catalog.models import Product, ServiceLevel
from devices.lifecycle import Lock, State
from devices.models.devices import Device

STATE_CHOICES = [
    (State.PENDING.value, _("Pending")),
    (State.TRIAL.value, _("Trial")),
    (State.ACTIVE.value, _("Active")),
    (State.FREE.value, _("Free")),
    (State.EXPIRED.value, _("Expired")),
    (State.TERMINATED.value, _("Terminated")),
]
LOCK_CHOICES = [
    (Lock.UNKNOWN.value, _("Unknown")),
    (Lock.LOCKED.value, _("Locked")),
    (Lock.UNLOCKED.value, _("Unlocked")),
]


class DeviceServiceQuerySet(models.QuerySet["DeviceService"]):
    """Verbs over services."""

    def paid(self) -> Self:
        """Services of products whose paid mode is on (G3)."""
        return self.filter(product__rules__is_current=True, product__rules__paid_mode=True)


class DeviceService(models.Model):
    """The service of one device: what it is entitled to now, and the moment at which that next changes.

    A projection: periods and events rebuild it (R9). `due_at` is the next moment that matters (null: nothing will
    happen by itself); every change of the row sets it from `devices.lifecycle.due_at`.
    """

    device = models.OneToOneField(
        Device, models.PROTECT, primary_key=True, related_name="service", verbose_name=_("device")
    )
    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    product = models.ForeignKey(Product, models.PROTECT, related_name="services", verbose_name=_("product"))
    state = models.CharField(_("service"), max_length=10, choices=STATE_CHOICES, default=State.PENDING.value)
    state_since = models.DateTimeField(_("since"))
    level = models.ForeignKey(
        ServiceLevel,
        models.PROTECT,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("service level"),
    )
    # A6: a factory return begins a new life; trial and auto-subscription happen once in each.
    life = models.PositiveSmallIntegerField(_("life"), default=1)
    # When a restart began this life; null in the first one, which began with the registration.
    life_began_at = models.DateTimeField(null=True, default=None)
    # Microseconds of total online time at which this life began to count (A4); null while nothing counts.
    counts_from = models.BigIntegerField(null=True, default=None)
    # Microseconds this life had counted when paid mode was switched off; it goes on from there (A25).
    counted_at_pause = models.BigIntegerField(null=True, default=None)
    trial_started_at = models.DateTimeField(_("trial started"), null=True)
    trial_ended_at = models.DateTimeField(_("trial ended"), null=True)
    # A5: the end threshold freezes when the device enters its trial.
    trial_end_seconds = models.PositiveIntegerField(null=True)
    auto_spent = models.BooleanField(default=False)
    auto_failed_at = models.DateTimeField(null=True)
    # A14: the n-th end is anchor + months; both are null before the first period.
    anchor = models.DateTimeField(null=True)
    anchor_months = models.PositiveSmallIntegerField(default=0)
    periods_made = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(_("ends"), null=True)
    due_at = models.DateTimeField(_("next change"), null=True)
    desired_lock = models.CharField(_("lock wanted"), max_length=8, choices=LOCK_CHOICES, default=Lock.UNKNOWN.value)
    reported_lock = models.CharField(_("lock reported"), max_length=8, choices=LOCK_CHOICES, default=Lock.UNKNOWN.value)
    reported_lock_at = models.DateTimeField(_("reported"), null=True)
    # Raised with every lock or unlock that is created; the device sees it in the message.
    generation = models.PositiveIntegerField(default=0)
    last_event_at = models.DateTimeField()

    objects = tenant_manager(DeviceServiceQuerySet)

    class Meta:
        verbose_name = _("device service")
        verbose_name_plural = _("device service")
        constraints = [
            models.CheckConstraint(condition=~Q(state="ACTIVE") | Q(ends_at__isnull=False), name="active_has_an_end"),
            models.CheckConstraint(
                condition=~Q(state="TRIAL") | Q(trial_end_seconds__isnull=False), name="trial_end_is_frozen"
            ),
            models.CheckConstraint(
                condition=~Q(state="TERMINATED") | Q(due_at__isnull=True), name="terminated_is_never_due"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="service_due"),
            models.Index(fields=["enterprise", "state", "-device"], name="service_of_enterprise"),
            models.Index(fields=["enterprise", "ends_at"], name="service_end"),
            models.Index(fields=["ends_at", "device"], name="service_ends"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} {self.state}"


class PeriodKind(StrEnum):
    """Why a period exists."""

    INCLUDED = "INCLUDED"
    PAID = "PAID"


class Period(models.Model):
    """One stretch of service, `[starts_at, ends_at)`. An append-only ledger: the service's end is its fold (R9).

    `source` names what made it ("line:7", "auto:12:1") and is unique, so nothing extends a device twice (R2).
    """

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    device = models.ForeignKey(Device, models.PROTECT, db_index=False, related_name="periods", verbose_name=_("device"))
    number = models.PositiveIntegerField(_("number"))
    life = models.PositiveSmallIntegerField(_("life"), default=1)
    kind = models.CharField(
        _("kind"),
        max_length=10,
        choices=[(PeriodKind.INCLUDED.value, _("Included")), (PeriodKind.PAID.value, _("Paid"))],
    )
    level = models.ForeignKey(
        ServiceLevel, models.PROTECT, db_index=False, related_name="+", verbose_name=_("service level")
    )
    plan_name = models.CharField(_("plan"), max_length=80)
    months = models.PositiveSmallIntegerField(_("months"))
    anchor = models.DateTimeField()
    anchor_months = models.PositiveSmallIntegerField()
    previous_ends_at = models.DateTimeField(null=True)
    starts_at = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"))
    source = models.CharField(_("source"), max_length=60)
    created_at = models.DateTimeField(_("made"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("period")
        verbose_name_plural = _("periods")
        constraints = [
            models.UniqueConstraint(fields=["device", "number"], name="period_number_unique"),
            # As a constraint: a unique field of text would have a second index, for searches by its beginning.
            models.UniqueConstraint(fields=["source"], name="period_source_unique"),
            models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="period_has_a_length"),
            models.CheckConstraint(
                condition=Q(previous_ends_at__isnull=True) | Q(starts_at__gte=F("previous_ends_at")),
                name="periods_do_not_overlap",
            ),
        ]
        ordering = ("device", "number")

    def __str__(self) -> str:
        return f"{self.device_id} #{self.number}"


class EarlyEnd(models.Model):
    """A period that was cut short: its device kept `[…, ends_at)`, the rest went elsewhere. Append-only.

    `source` names what cut it: "transfer:<uuid>" (A26), which is also the source of the period that the replacement
    got, or "refund:<line of a refund>" (A14). A period may be cut again: each cut begins where the last one left it.
    No row of one enterprise refers to a device of another (R6): this is one side, that period the other.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    device = models.ForeignKey(Device, models.PROTECT, related_name="early_ends", verbose_name=_("device"))
    # The device's last period at that moment; with it ended all that was paid ahead.
    number = models.PositiveIntegerField(_("number"))
    previous_ends_at = models.DateTimeField(_("would have ended"))
    ends_at = models.DateTimeField(_("ended"))
    source = models.CharField(_("source"), max_length=60, unique=True)
    created_at = models.DateTimeField(_("made"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("early end")
        verbose_name_plural = _("early ends")
        constraints = [
            models.UniqueConstraint(fields=["device", "number", "previous_ends_at"], name="a_cut_follows_the_last"),
            models.CheckConstraint(condition=Q(ends_at__lt=F("previous_ends_at")), name="a_cut_takes_time_away"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} #{self.number}"
