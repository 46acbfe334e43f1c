"""Webhooks: where an enterprise wants its events, what was sent there, and what is still to be (F88)."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from amp.foundation.models import Enterprise, Event
from amp.foundation.scoping import tenant_manager


class WebhookState(StrEnum):
    """Whether an endpoint gets events."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class WebhookWhy(StrEnum):
    """Why an endpoint is disabled."""

    BY_STAFF = "BY_STAFF"
    FAILED = "FAILED"
    GONE = "GONE"


class DeliveryStatus(StrEnum):
    """Where a delivery stands. A dead one waits for a person; a withheld one may not be sent to this endpoint."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"
    WITHHELD = "WITHHELD"


STATE_CHOICES = [
    (WebhookState.ENABLED.value, pgettext_lazy("webhook", "Enabled")),
    (WebhookState.DISABLED.value, pgettext_lazy("webhook", "Disabled")),
]
WHY_CHOICES = [
    (WebhookWhy.BY_STAFF.value, _("Switched off by staff")),
    (WebhookWhy.FAILED.value, _("No delivery succeeded for 72 hours")),
    (WebhookWhy.GONE.value, _("The receiver answered 410: it wants no more events")),
]
STATUS_CHOICES = [
    (DeliveryStatus.PENDING.value, pgettext_lazy("delivery", "Waits")),
    (DeliveryStatus.DELIVERED.value, pgettext_lazy("delivery", "Delivered")),
    (DeliveryStatus.DEAD.value, pgettext_lazy("delivery", "Given up")),
    (DeliveryStatus.WITHHELD.value, pgettext_lazy("delivery", "Withheld")),
]

PROBLEM_WORDS = {
    "the address is not allowed": _("the address is not allowed"),
    "the name was not found": _("the name was not found"),
    "the name server did not answer in time": _("the name server did not answer in time"),
    "no answer in time": _("no answer in time"),
    "no connection": _("no connection"),
    "the certificate is not valid": _("the certificate is not valid"),
    "TLS failed": _("TLS failed"),
    "the answer is not HTTP": _("the answer is not HTTP"),
    "the answer is too long": _("the answer is too long"),
    "the secret could not be opened": _("the secret could not be opened"),
    "the event is outside the reach of this webhook": _("the event is outside the reach of this webhook"),
    "the webhook was disabled": _("the webhook was disabled"),
    "the webhook was removed": _("the webhook was removed"),
    "not sent": _("not sent"),
}
"""How a problem is told to people; what follows a colon is told as it is."""


def problem_word(problem: str, status: int | None) -> str:
    """Why an attempt failed: in words, or the status of the answer; empty where neither is known."""
    head, colon, detail = problem.partition(": ")
    word = str(PROBLEM_WORDS.get(head, head))
    return f"{word}{colon}{detail}" or (str(status) if status else "")


class Webhook(models.Model):
    """An endpoint: a URL of an enterprise's own system that is told what happens in its subtree.

    Secrets are sealed for this row and shown once. While a rotation lasts, the old one signs too, until `old_until`.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="webhooks", verbose_name=_("enterprise"))
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=80)
    url = models.CharField("URL", max_length=500)
    # Public types, see alerts.webhooks.public; an empty list means all, those of later versions included.
    types = models.JSONField(_("events"), default=list)
    # Events of the enterprises below too, which the enterprise may see anyway (E1).
    includes_descendants = models.BooleanField(_("with the enterprises below"), default=True)
    state = models.CharField(_("state"), max_length=10, choices=STATE_CHOICES, default=WebhookState.ENABLED.value)
    state_since = models.DateTimeField(_("since"))
    state_why = models.CharField(_("why"), max_length=10, choices=WHY_CHOICES, default="", blank=True)
    secret = models.TextField(editable=False)
    secret_since = models.DateTimeField(_("secret since"))
    old_secret = models.TextField(editable=False, default="")
    # Real time, as of every credential: the test clock ends no secret.
    old_until = models.DateTimeField(_("old secret until"), null=True)
    created_at = models.DateTimeField(_("created"))
    created_by = models.CharField(_("created by"), max_length=160)
    # A removed endpoint keeps its log; it has no secret any more.
    removed_at = models.DateTimeField(_("removed"), null=True)

    # How the receiver does. `failures` counts those in a row that say "not there"; all waits until `paused_until`.
    failing_since = models.DateTimeField(_("failing since"), null=True)
    failures = models.PositiveIntegerField(default=0)
    paused_until = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(_("last delivered"), null=True)
    served_at = models.DateTimeField(null=True)
    # Staff are told that it was disabled: when next, and how often that was tried.
    tell_at = models.DateTimeField(null=True)
    tell_attempts = models.PositiveSmallIntegerField(default=0)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="ENABLED", state_why="") | Q(state="DISABLED") & ~Q(state_why=""),
                name="webhook_says_why",
            ),
            models.CheckConstraint(
                condition=Q(old_secret="", old_until__isnull=True) | ~Q(old_secret="") & Q(old_until__isnull=False),
                name="webhook_old_secret_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="webhook_of_enterprise"),
            models.Index(fields=["served_at"], condition=Q(state="ENABLED"), name="webhook_enabled"),
            models.Index(fields=["tell_at"], condition=Q(tell_at__isnull=False), name="webhook_to_tell"),
        ]

    def __str__(self) -> str:
        return self.name


class WaitingEvent(models.Model):
    """An event that nobody has looked at for webhooks yet.

    The database writes the row with the event, in its transaction, while any endpoint is enabled. So an event whose
    transaction commits late is found as surely as any other, and looking costs what waits, not what has ever been.
    """

    event = models.OneToOneField(
        Event, models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False, verbose_name=_("event")
    )

    objects = tenant_manager(path="event__enterprise")


class WebhookDelivery(models.Model):
    """One event for one endpoint. `next_attempt_at` is the moment that matters while it waits; a worker that has it
    holds it until `leased_until`, which is also the token of its claim.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, db_index=False, related_name="+")
    webhook = models.ForeignKey(
        Webhook, models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("webhook")
    )
    event = models.ForeignKey(Event, models.PROTECT, related_name="+", verbose_name=_("event"))
    type = models.CharField(_("event"), max_length=60)
    status = models.CharField(_("status"), max_length=10, choices=STATUS_CHOICES, default=DeliveryStatus.PENDING.value)
    attempts = models.PositiveIntegerField(pgettext_lazy("delivery", "attempts"), default=0)
    created_at = models.DateTimeField(_("created"))
    first_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True)
    leased_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    # What the last attempt brought.
    response_status = models.PositiveSmallIntegerField(_("answer"), null=True)
    response_excerpt = models.CharField(_("beginning of the answer"), max_length=300, default="")
    duration_ms = models.PositiveIntegerField(_("took"), null=True)
    problem = models.CharField(_("problem"), max_length=200, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event"], name="one_delivery_per_event"),
            models.CheckConstraint(
                condition=Q(status="PENDING", next_attempt_at__isnull=False, ended_at__isnull=True)
                | ~Q(status="PENDING") & Q(next_attempt_at__isnull=True, ended_at__isnull=False),
                name="delivery_waits_or_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["webhook", "next_attempt_at"], condition=Q(status="PENDING"), name="delivery_due"),
            models.Index(
                fields=["webhook", "leased_until"], condition=Q(leased_until__isnull=False), name="delivery_leased"
            ),
            models.Index(fields=["webhook", "ended_at"], condition=Q(status="DEAD"), name="delivery_dead"),
            models.Index(fields=["enterprise", "-id"], name="delivery_of_enterprise"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"

    @property
    def problem_or_status(self) -> str:
        """What the last attempt brought; empty before the first."""
        return problem_word(self.problem, self.response_status)


class WebhookAttempt(models.Model):
    """One request that was made for a delivery, and what came back."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="log")
    number = models.PositiveIntegerField(_("attempt"))
    started_at = models.DateTimeField(_("started"))
    response_status = models.PositiveSmallIntegerField(_("answer"), null=True)
    duration_ms = models.PositiveIntegerField(_("took"))
    problem = models.CharField(_("problem"), max_length=200, default="")

    objects = tenant_manager(path="delivery__enterprise")

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")

    @property
    def problem_or_status(self) -> str:
        """What came of it."""
        return problem_word(self.problem, self.response_status)
