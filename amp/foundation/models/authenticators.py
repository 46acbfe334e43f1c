"""The authenticator of a second factor: django-otp's device, with its secret sealed (X1, F83)."""

from __future__ import annotations

import secrets

from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_totp.models import TOTPDevice

from amp.foundation.models.users import User
from amp.foundation.sealed import seal, unseal

SECRET_BYTES = 20


def owner_of(user_id: int) -> str:
    """Whom a secret is sealed for: copied into somebody else's row it opens nothing."""
    return f"totp:{user_id}"


class Authenticator(TOTPDevice):
    """An authenticator whose `key` holds the sealed secret: who reads the table, or a copy of it, can make no code.

    Codes, the brake on guessing and the QR's address are django-otp's: all of them read `bin_key`.
    """

    class Meta:
        proxy = True
        verbose_name = _("authenticator")
        verbose_name_plural = _("authenticators")

    @classmethod
    def begin(cls, user: User) -> Authenticator:
        """An unconfirmed one with a fresh secret."""
        sealed = seal(secrets.token_bytes(SECRET_BYTES), owner_of(user.pk))
        return cls.objects.create(user=user, name="authenticator", confirmed=False, key=sealed)

    @property
    def bin_key(self) -> bytes:
        """The secret. Raises SealBroken where AMP_FIELD_KEY isn't the one it was sealed with."""
        return unseal(self.key, owner_of(self.user_id))
