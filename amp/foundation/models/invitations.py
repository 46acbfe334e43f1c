"""Invitations to join an enterprise, by e-mail (X1)."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise
from amp.foundation.models.users import ROLE_CHOICES, User
from amp.foundation.scoping import tenant_manager


class Invitation(models.Model):
    """An offer of a role, sent once by e-mail. Its link is a random token of which only the hash is kept (X1)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    email = models.EmailField(_("e-mail"))
    full_name = models.CharField(_("name"), max_length=120, blank=True)
    role = models.CharField(_("role"), max_length=24, choices=ROLE_CHOICES)
    language = models.CharField(_("language"), max_length=10, default="en")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("invited by")
    )
    created_at = models.DateTimeField(_("invited"))
    # Real time, as all that guards a sign-in.
    expires_at = models.DateTimeField(_("link ends"))
    sent_at = models.DateTimeField(_("mail sent"), null=True)
    # Why the mail did not leave; "" while it is on its way or gone.
    send_failure = models.CharField(_("mail failed"), max_length=200, default="", blank=True)
    accepted_at = models.DateTimeField(_("accepted"), null=True)
    voided_at = models.DateTimeField(_("withdrawn"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise", "email"],
                condition=Q(accepted_at=None, voided_at=None),
                name="one_open_invitation_per_address",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} · {self.get_role_display()}"

    def is_open(self, wall: datetime) -> bool:
        """Whether the link still works at `wall` (real time)."""
        return self.accepted_at is None and self.voided_at is None and wall < self.expires_at
