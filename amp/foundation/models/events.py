"""The one record of what happened: audit, timeline and outbox (house pattern 8)."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise
from amp.foundation.scoping import tenant_manager


class Event(models.Model):
    """One state change, written in the transaction that made it. Rows never change: the database refuses it (R9, F98).

    `subject` names what changed as "device:17", "order:4"; `kind` is a dotted name such as `device_service.expired`.
    """

    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("enterprise")
    )
    kind = models.CharField(_("event"), max_length=60)
    subject = models.CharField(_("subject"), max_length=60)
    actor = models.CharField(_("by"), max_length=160)
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    why = models.CharField(_("why"), max_length=400, default="", db_default="")
    # The product's time: when it happened (for sweeps: when it fell due, A17) and when we noticed.
    happened_at = models.DateTimeField(_("happened"))
    noticed_at = models.DateTimeField(_("noticed"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("audit")
        indexes = [
            models.Index(fields=["subject", "-happened_at", "-id"], name="event_of_subject"),
            models.Index(fields=["enterprise", "-id"], name="event_of_enterprise"),
            # What the audit filters by, without a price for events that are born in bulk: an address has an @.
            models.Index(fields=["actor", "-id"], condition=Q(actor__contains="@"), name="event_by_person"),
            models.Index(
                fields=["kind", "-id"],
                condition=~Q(kind__startswith="device") & ~Q(kind__startswith="command."),
                name="event_not_in_bulk",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
