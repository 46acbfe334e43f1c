"""The secret of a device's public renewal page: issued, revoked, looked up (F85)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from amp.foundation.bulk import among, insert_rows
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_about, record_events
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
def issue_tokens(*, device_ids: Collection[int], revoke_older: bool, actor: str, now: datetime) -> dict[int, str]:
    """A new link for each device, in four statements however many they are; ids of devices → tokens, shown once.

    Devices that are terminated or out of scope get none and are missing in the answer. With `revoke_older` every link
    that was given out before stops working in the same transaction: no device is ever without one.
    """
    owners = _locked(device_ids)
    if revoke_older:
        _live(owners).update(revoked_at=now)
    tokens = {pk: new_token() for pk in owners}
    rows = [(owner, pk, digest_of(tokens[pk]), now, None) for pk, owner in owners.items()]
    insert_rows(PublicToken, ("enterprise", "device", "digest", "created_at", "revoked_at"), rows)
    facts = {"older_links": "revoked" if revoke_older else "kept"}
    record_events(
        [EventDraft("device.link_issued", f"device:{pk}", owners[pk], now, actor, after=facts) for pk in owners],
        now=now,
    )
    return tokens


@transaction.atomic
def revoke_tokens(*, device_ids: Collection[int], actor: str, now: datetime) -> int:
    """Switch off every link of the devices; number of links that worked until now. One event for each device."""
    owners = _locked(device_ids, live=False)
    found = list(_live(owners).order_by("device_id", "pk").values_list("pk", "device_id"))
    changed: int = PublicToken.objects.filter(among("id", [pk for pk, _device in found]), revoked_at=None).update(
        revoked_at=now
    )
    record_events(
        [
            EventDraft("device.link_revoked", f"device:{pk}", owners[pk], now, actor)
            for pk in dict.fromkeys(device for _pk, device in found)
        ],
        now=now,
    )
    return changed


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


def _locked(device_ids: Collection[int], *, live: bool = True) -> dict[int, int]:
    """Ids of the devices, locked in the order of their ids, with their enterprises."""
    rows = Device.objects.filter(among("id", sorted(device_ids)))
    if live:
        rows = rows.filter(terminated_at=None)
    return dict(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", "enterprise_id"))


def _live(device_ids: Collection[int]) -> QuerySet[PublicToken]:
    found: QuerySet[PublicToken] = PublicToken.objects.filter(among("device_id", list(device_ids)), revoked_at=None)
    return found
