"""The password by which the broker knows a device: issued anew, or taken away (X4, F68).

Only its hash is stored; the password is returned once. Whoever is connected with a password that no longer holds is
thrown out, as far as the broker can (`disconnects`).
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from devices.models import Device
from devices.services.disconnects import order_disconnect
from devices.transports.mosquitto import hash_password


class DeviceTerminated(Refused):
    """The device is terminated: it gets no new credential, and no service."""


def new_password() -> str:
    """190 random bits that a device's maker can type or flash."""
    password = secrets.token_urlsafe(24)
    return f"_{password[1:]}" if password.startswith("-") else password  # a spreadsheet makes a formula of it (F90)


@transaction.atomic
def rotate_credential(*, device: Device, actor: str, now: datetime) -> str:
    """Give the device a new password, which also ends a revocation. Raises DeviceTerminated.

    The old one ends at once where the broker asks us, and with the next export where it reads files.
    """
    locked = _locked(device)
    password = new_password()
    locked.credential_hash = hash_password(password)
    locked.credential_rotated_at, locked.credential_revoked_at = now, None
    _store(locked, "device.credential_rotated", actor, now)
    return password


@transaction.atomic
def revoke_credential(*, device: Device, actor: str, now: datetime) -> None:
    """Take the device's password away: it can't connect until a new one is issued. Twice does no harm.

    Its service goes on, and what it owes or is owed. Raises DeviceTerminated.
    """
    locked = _locked(device)
    if locked.credential_revoked_at:
        return
    locked.credential_hash, locked.credential_revoked_at = "", now
    _store(locked, "device.credential_revoked", actor, now)


def _locked(device: Device) -> Device:
    locked: Device = (
        Device.objects.select_for_update(no_key=True, of=("self",)).select_related("product").get(pk=device.pk)
    )
    if locked.terminated_at:
        raise DeviceTerminated.because(_("This device is terminated. Register its key anew to let it connect again."))
    return locked


def _store(locked: Device, kind: str, actor: str, now: datetime) -> None:
    locked.save(update_fields=["credential_hash", "credential_rotated_at", "credential_revoked_at"])
    record_about(locked, kind, actor=actor, now=now)
    order_disconnect(locked, now=now)
