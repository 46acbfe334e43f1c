"""The secret of a device's public renewal page: issued, revoked, looked up (F85)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.scoping import system_scope
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from devices.models import Device, PublicToken

TOKEN_BYTES = 32
"""256 random bits in URL-safe base64; ASVS 11.5.1 asks for 128 at least, and takes no UUIDs."""


class DeviceGone(Refused):
    """The device is terminated: it has no renewal page any more."""


@transaction.atomic
def issue_token(*, device: Device, actor: str, now: datetime) -> str:
    """A new renewal link for the device; older ones keep working until they are revoked. Shown once, stored hashed.

    Raises DeviceGone.
    """
    locked = Device.objects.select_for_update(no_key=True).get(pk=device.pk)
    if locked.terminated_at:
        raise DeviceGone.because(_("This device is terminated: it has no renewal page any more."))
    token = new_token()
    PublicToken.objects.create(
        enterprise_id=locked.enterprise_id, device=locked, digest=digest_of(token), created_at=now
    )
    record_about(locked, "device.link_issued", actor=actor, now=now)
    return token


@transaction.atomic
def revoke_token(*, token: PublicToken, actor: str, now: datetime) -> None:
    """Switch one link off, at once and for good; twice does no harm."""
    if PublicToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        record_about(token.device, "device.link_revoked", actor=actor, now=now)


def device_for_token(token: str) -> Device | None:
    """The device of a live link; None for one that is unknown, malformed, revoked or of a terminated device.

    The work is the same for all of them: one digest and one lookup by it, so time tells nothing (F85). The visitor has
    no scope of his own: the link is the permission, for this one device.
    """
    with system_scope():
        found = PublicToken.objects.filter(digest=digest_of(token)).select_related(
            "device__enterprise", "device__product__enterprise", "device__service"
        )
        row: PublicToken | None = found.first()
    if row is None or row.revoked_at or row.device.terminated_at:
        return None
    return row.device


def link_of(token: str) -> str:
    """Address of a renewal page: from the configured base, never from a request (F96)."""
    return f"{settings.BASE_URL}/r/{token}"


def new_token() -> str:
    """A fresh secret, 43 characters that need no escaping in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest_of(token: str) -> str:
    """What is stored of a token. A plain hash is enough: the token itself is random and long."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
