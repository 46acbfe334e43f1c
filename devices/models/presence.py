"""Presence: a narrow hot table, the closed sessions behind it, and the bridges that feed it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.scoping import tenant_manager
from devices.models.devices import Device


class Presence(models.Model):
    """Whether a device is online, and its cumulative online time (P1). One row a device, updated for every batch."""

    device = models.OneToOneField(
        Device, models.PROTECT, primary_key=True, related_name="presence", verbose_name=_("device")
    )
    is_online = models.BooleanField(_("online"), default=False)
    session = models.CharField(max_length=64, null=True)
    session_started_at = models.DateTimeField(null=True)
    # Start of the uninterrupted online interval that is still open.
    open_since = models.DateTimeField(_("online since"), null=True)
    # Union of the closed intervals, microseconds.
    counted = models.BigIntegerField(default=0)
    # What of it retention has deleted the sessions of (X5): the stored ones make up the rest.
    forgotten = models.BigIntegerField(default=0, db_default=0)
    last_seen_at = models.DateTimeField(_("last seen"), null=True)
    last_event_at = models.DateTimeField(null=True)
    keepalive = models.PositiveIntegerField(null=True)

    objects = tenant_manager(path="device__enterprise")

    class Meta:
        verbose_name = _("presence")
        verbose_name_plural = _("presence")

    def __str__(self) -> str:
        return f"{self.device_id}"


class PresenceSession(models.Model):
    """One closed online session `[started_at, ended_at)`; `estimated` where no message told its end (P4)."""

    # Its index is `session_of_device`; beside a plain one the planner would take the plain one, and read everything.
    device = models.ForeignKey(
        Device, models.PROTECT, db_index=False, related_name="sessions", verbose_name=_("device")
    )
    session = models.CharField(_("session"), max_length=64, default="")
    started_at = models.DateTimeField(_("from"))
    ended_at = models.DateTimeField(_("to"))
    estimated = models.BooleanField(_("estimated"), default=False)

    objects = tenant_manager(path="device__enterprise")

    class Meta:
        verbose_name = _("online session")
        verbose_name_plural = _("online sessions")
        constraints = [
            # With its end: a session may begin anew in the very moment of one that has ended at once.
            models.UniqueConstraint(fields=["device", "session", "started_at", "ended_at"], name="session_closed_once"),
            models.CheckConstraint(
                condition=models.Q(started_at__lte=models.F("ended_at")), name="session_ends_after_it_starts"
            ),
        ]
        indexes = [models.Index(fields=["device", "-ended_at"], name="session_of_device")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.started_at}"


class Bridge(models.Model):
    """A process that listens to the broker: when it and the broker were last known alive, and what it refused."""

    name = models.CharField(_("bridge"), max_length=40, primary_key=True)
    # Product time: the last moment at which the broker was known alive (P4).
    broker_alive_at = models.DateTimeField(_("broker alive"), null=True)
    # For how many seconds the broker said it was running, and when that was heard, real time: less means a restart.
    broker_uptime = models.PositiveBigIntegerField(null=True)
    broker_uptime_at = models.DateTimeField(null=True)
    # Real time: heartbeat of the process.
    beat_at = models.DateTimeField(_("heartbeat"), null=True)
    connected = models.BooleanField(_("connected"), default=False)
    # Product time: when it was last in contact with the broker and with us, and back after its last outage (P8).
    heard_at = models.DateTimeField(_("in contact"), null=True)
    recovered_at = models.DateTimeField(_("back since"), null=True)
    received = models.BigIntegerField(_("messages"), default=0)
    dropped = models.BigIntegerField(_("refused"), default=0)
    last_dropped = models.CharField(_("last refusal"), max_length=300, default="")

    class Meta:
        verbose_name = _("bridge")
        verbose_name_plural = _("bridges")

    def __str__(self) -> str:
        return self.name
