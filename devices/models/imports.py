"""Imports: a file staged as rows, looked at by a person, then worked off in slices (F92, house pattern 3)."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from catalog.models import Product
from devices.models.devices import Device


class ImportKind(StrEnum):
    """What the rows of a file are."""

    DEVICES = "DEVICES"
    VALIDITIES = "VALIDITIES"


class ImportState(StrEnum):
    """READY waits for a person, RUNNING for a worker; the others are over (FAILED can be tried again)."""

    READY = "READY"
    RUNNING = "RUNNING"
    DONE = "DONE"
    REFUSED = "REFUSED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class ImportMode(StrEnum):
    """What happens to good rows when others are bad."""

    GOOD_ROWS = "GOOD_ROWS"
    ALL_OR_NOTHING = "ALL_OR_NOTHING"


class RowStatus(StrEnum):
    """NEW is still to be done; SAME would change nothing; BAD has problems."""

    NEW = "NEW"
    DONE = "DONE"
    SAME = "SAME"
    BAD = "BAD"


KIND_CHOICES = [(ImportKind.DEVICES.value, _("Devices")), (ImportKind.VALIDITIES.value, _("SIM and RTK validity"))]
STATE_CHOICES = [
    (ImportState.READY.value, _("Waits for confirmation")),
    (ImportState.RUNNING.value, pgettext_lazy("work", "Running")),
    (ImportState.DONE.value, _("Done")),
    (ImportState.REFUSED.value, _("Nothing imported")),
    (ImportState.CANCELLED.value, _("Cancelled")),
    (ImportState.FAILED.value, _("Stopped by a fault")),
]
MODE_CHOICES = [
    (ImportMode.GOOD_ROWS.value, _("Only the good rows")),
    (ImportMode.ALL_OR_NOTHING.value, _("All or nothing")),
]


class Import(models.Model):
    """One file for one enterprise: who, when, how far. Its rows are `ImportRow`.

    `due_at` (real time) is when a worker next looks at it, and the lease of the one that works; null when it is over.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    product = models.ForeignKey(Product, models.PROTECT, null=True, related_name="+", verbose_name=_("product"))
    kind = models.CharField(_("what"), max_length=10, choices=KIND_CHOICES)
    state = models.CharField(_("state"), max_length=10, choices=STATE_CHOICES, default=ImportState.READY.value)
    mode = models.CharField(_("mode"), max_length=16, choices=MODE_CHOICES, default=ImportMode.GOOD_ROWS.value)
    file_name = models.CharField(_("file"), max_length=200)
    file_digest = models.CharField(max_length=64)
    columns = models.JSONField(default=list)
    left_out = models.JSONField(default=list)
    rows_total = models.PositiveIntegerField(_("rows"), default=0)
    rows_new = models.PositiveIntegerField(_("to do"), default=0)
    rows_done = models.PositiveIntegerField(_("done"), default=0)
    rows_same = models.PositiveIntegerField(_("change nothing"), default=0)
    rows_bad = models.PositiveIntegerField(_("bad"), default=0)
    why = models.CharField(_("reason"), max_length=300, default="", db_default="")
    problem = models.CharField(_("problem"), max_length=300, default="", db_default="")
    created_by = models.CharField(_("by"), max_length=160)
    created_at = models.DateTimeField(_("uploaded"))
    confirmed_by = models.CharField(_("confirmed by"), max_length=160, default="", db_default="")
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Real time, like all that guards secrets: the next look of a worker; when secrets or the preview are thrown away.
    due_at = models.DateTimeField(null=True)
    clear_at = models.DateTimeField(null=True)
    secrets_kept = models.BooleanField(default=False)
    secrets_taken_by = models.CharField(max_length=160, default="", db_default="")
    secrets_gone_at = models.DateTimeField(null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=ImportState.RUNNING.value) | Q(due_at__isnull=False), name="running_import_is_due"
            )
        ]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="import_of_enterprise"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="import_due"),
            models.Index(fields=["clear_at"], condition=Q(clear_at__isnull=False), name="import_clear"),
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportRow(models.Model):
    """One line of the file: what it says, what is wrong with it, what became of it.

    `problems` is a list of [column, code, arguments…]. `secret` is the sealed credential of the device that the row
    registered, until it is downloaded once or a day has passed (X4).
    """

    job = models.ForeignKey(Import, models.CASCADE, related_name="rows", verbose_name=_("import"))
    line = models.PositiveIntegerField(_("line"))
    status = models.CharField(max_length=5, default=RowStatus.NEW.value)
    values = models.JSONField()
    problems = models.JSONField(default=list)
    device = models.ForeignKey(Device, models.PROTECT, null=True, related_name="+")
    secret = models.TextField(default="", db_default="")

    objects = tenant_manager(path="job__enterprise")

    class Meta:
        verbose_name = _("line of an import")
        verbose_name_plural = _("lines of imports")
        constraints = [models.UniqueConstraint(fields=["job", "line"], name="import_line_once")]
        indexes = [models.Index(fields=["job", "status", "line"], name="import_rows_by_status")]

    def __str__(self) -> str:
        return f"{self.job_id}:{self.line}"
