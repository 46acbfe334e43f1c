"""Commands to devices: rows with a state, a generation and a moment at which they are next looked at (A19–A23)."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from devices.delivery import TAKEN_BACK, CommandKind, CommandStatus
from devices.models.devices import Device
from devices.models.lock_holds import LockHold


class CommandSlot(StrEnum):
    """What a command is about; a device has at most one open command per slot: its lock, and each kind of notice."""

    LOCK = "LOCK"
    SIM_NOTICE = "SIM_NOTICE"
    RTK_NOTICE = "RTK_NOTICE"
    DEVICE_NOTICE = "DEV_NOTICE"


NOTICE_SLOTS = {1: CommandSlot.SIM_NOTICE, 2: CommandSlot.RTK_NOTICE, 3: CommandSlot.DEVICE_NOTICE}
"""By `serviceName` on the wire (N3)."""


OPEN_STATUSES = (CommandStatus.PENDING.value, CommandStatus.SENT.value)
IS_OPEN = Q(status__in=OPEN_STATUSES)
IS_ACKED = Q(status=CommandStatus.ACKED.value)
IS_UNFINISHED = IS_OPEN | IS_ACKED
"""Conditions that have an index each: one index for both would be written once more with each command that is sent."""
MAY_STILL_ARRIVE = Q(status__in=sorted(status.value for status in TAKEN_BACK), acked_at=None, sent_at__isnull=False)
"""Taken back by us after it had left: the device may get it all the same, for the seconds of an ack (R3)."""
STATUS_CHOICES = [
    (CommandStatus.PENDING.value, _("Waits for the device")),
    (CommandStatus.SENT.value, _("Sent")),
    (CommandStatus.ACKED.value, _("Acknowledged")),
    (CommandStatus.CONFIRMED.value, _("Confirmed")),
    (CommandStatus.FAILED.value, _("Failed")),
    (CommandStatus.STALE.value, _("Cache time over")),
    (CommandStatus.CANCELLED.value, _("Cancelled")),
    (CommandStatus.SUPERSEDED.value, _("Superseded")),
]


class Command(models.Model):
    """One property write to one device. `values` is the `kv` object as it goes over the wire.

    `due_at` is the next look while PENDING (null: the device must first show itself), the end of the wait for an ack
    while SENT, and null otherwise. `stale_at` is when the cache time is over (A20, inclusive);
    while `hold` keeps the command it isn't running, and nothing is due (P8).
    """

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    device = models.ForeignKey(
        Device, models.PROTECT, db_index=False, related_name="commands", verbose_name=_("device")
    )
    slot = models.CharField(max_length=10, default=CommandSlot.LOCK.value)
    kind = models.CharField(
        _("command"),
        max_length=10,
        choices=[
            (CommandKind.LOCK.value, _("Lock")),
            (CommandKind.UNLOCK.value, _("Unlock")),
            (CommandKind.NOTICE.value, _("Notice")),
        ],
    )
    generation = models.PositiveIntegerField(_("generation"))
    ticket = models.UUIDField(_("ticket"), default=uuid.uuid4, unique=True, editable=False)
    values = models.JSONField(_("property values"))
    # The rule version whose action this is (A5); 0 for a notice, which no rule words.
    rule_version = models.PositiveIntegerField(_("rule version"))
    # False where a property can't be read back: its ack confirms it (A21).
    confirms_by_report = models.BooleanField(default=True)
    status = models.CharField(_("status"), max_length=10, choices=STATUS_CHOICES, default=CommandStatus.PENDING.value)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    refusals = models.PositiveSmallIntegerField(_("refused by the device"), default=0)
    problem = models.CharField(_("problem"), max_length=300, default="", db_default="")
    created_at = models.DateTimeField(_("created"))
    stale_at = models.DateTimeField(_("kept until"))
    due_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(_("sent"), null=True)
    acked_at = models.DateTimeField(_("acknowledged"), null=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    # P8: what keeps it from its device, and since when nothing does.
    hold = models.ForeignKey(
        LockHold, models.PROTECT, null=True, db_index=False, related_name="commands", verbose_name=_("held by")
    )
    released_at = models.DateTimeField(_("released"), null=True)
    # The end that a notice announces: it goes out only while this is the end of its service (N4).
    announces_end = models.DateTimeField(null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        constraints = [
            models.UniqueConstraint(fields=["device", "slot"], condition=IS_OPEN, name="one_open_command_per_slot"),
            models.UniqueConstraint(fields=["device"], condition=Q(status="SENT"), name="one_command_in_flight"),
            models.UniqueConstraint(fields=["device", "slot", "generation"], name="command_generation_unique"),
            models.CheckConstraint(
                condition=Q(hold=None) | Q(kind="LOCK", status="PENDING", attempts=0, due_at=None),
                name="only_a_waiting_lock_is_held",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="command_due"),
            models.Index(fields=["stale_at"], condition=Q(status__in=OPEN_STATUSES, hold=None), name="command_stale"),
            models.Index(fields=["hold", "id"], condition=Q(hold__isnull=False), name="command_held"),
            models.Index(fields=["enterprise", "status", "-id"], name="command_of_enterprise"),
            # What a newer command supersedes or has to wait for, whatever the device was told in all the time before.
            models.Index(fields=["device"], condition=IS_ACKED, name="command_acked"),
            models.Index(fields=["device", "sent_at"], condition=MAY_STILL_ARRIVE, name="command_taken_back"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.device_id} #{self.generation}"
