"""Keys of the API: who calls, what the key may do, until when."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise
from amp.foundation.models.users import User
from amp.foundation.scoping import tenant_manager


class Scope(StrEnum):
    """What a key may be allowed to do: a closed list, one line for each kind of reading and changing."""

    ENTERPRISES_READ = "enterprises:read"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    RULES_READ = "rules:read"
    RULES_WRITE = "rules:write"
    PLANS_READ = "plans:read"
    PLANS_WRITE = "plans:write"
    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    PRESENCE_READ = "presence:read"
    SERVICES_READ = "services:read"
    SERVICES_RENEW = "services:renew"
    VALIDITIES_READ = "validities:read"
    VALIDITIES_WRITE = "validities:write"
    ORDERS_READ = "orders:read"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_RESOLVE = "payments:resolve"
    REFUNDS_WRITE = "refunds:write"
    REFUNDS_APPROVE = "refunds:approve"
    FAPIAO_READ = "fapiao:read"
    FAPIAO_WRITE = "fapiao:write"
    COMMANDS_READ = "commands:read"
    COMMANDS_WRITE = "commands:write"
    NOTICES_READ = "notices:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


class ApiKey(models.Model):
    """A key of the API. It reaches the subtree of its enterprise, within its scopes, until it expires or is revoked.

    Of the key itself only a hash is kept (F83); `prefix` is how people tell keys apart. A key lives no longer than the
    right of the person who made it: it ends with their account, and with their role in this enterprise (X1, F84).
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="api_keys", verbose_name=_("enterprise"))
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("key begins with"), max_length=16, unique=True)
    # SHA-256 of the whole key, hexadecimal. The key holds 256 random bits: there is nothing to guess or to salt.
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"))
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("created by"))
    # Real time, as of every credential: the test clock ends no key.
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    # To the hour: written once in an hour at most, so that a reading key doesn't write with every request.
    last_used_at = models.DateTimeField(_("last used"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        indexes = [models.Index(fields=["enterprise", "-id"], name="api_key_of_enterprise")]

    def __str__(self) -> str:
        return self.name

    def is_live(self, wall: datetime) -> bool:
        """Whether the key itself still opens at this real time; its maker's rights are asked apart."""
        return self.revoked_at is None and wall < self.expires_at
