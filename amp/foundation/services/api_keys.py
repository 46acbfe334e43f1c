"""Keys of the API: made and shown once, found by their hash, revoked (F83, F84)."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from amp.foundation.access import Action, include, may
from amp.foundation.models import ApiKey, Enterprise, Scope, User
from amp.foundation.models.enterprises import ids_above
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused

KEY = re.compile(r"amp_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")
"""What a whole key looks like; also what logs are scrubbed of."""
PREFIX_LETTERS = string.ascii_lowercase + string.digits
SECRET_BYTES = 32
LIVE_KEYS = 20
"""Live keys of one enterprise: enough to rotate each integration, few enough to look through."""
LONGEST = timedelta(days=366)
USED_TO = timedelta(hours=1)
# Every request of the API begins with this: Django would take ten times as long to word it as the database to answer.
# One row for each role that the maker has, which stands in `role` where it reaches the key's enterprise.
FIND = """
    SELECT key.id, key.enterprise_id, key.name, key.prefix, key.scopes, key.created_by_id, key.created_at,
        key.expires_at, key.revoked_at, key.last_used_at,
        own.path AS path, maker.email AS maker, maker.is_active AS is_active,
        CASE WHEN above.id IS NOT NULL THEN held.role END AS role
    FROM foundation_apikey key
    JOIN foundation_enterprise own ON own.id = key.enterprise_id
    JOIN foundation_user maker ON maker.id = key.created_by_id
    LEFT JOIN foundation_membership held ON held.user_id = maker.id
    LEFT JOIN foundation_enterprise above ON above.id = held.enterprise_id AND own.path LIKE above.path || '%%'
    WHERE key.key_hash = %s
"""
WITHIN = "SELECT id FROM foundation_enterprise WHERE path LIKE %s"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key as a request needs it: the rest of its columns, its enterprise and its maker are read when asked for."""

    key: ApiKey
    maker: str
    """E-mail of the person who made it."""
    has_rights: bool
    """As `has_maker_with_rights` says."""
    enterprise_ids: Sequence[int]
    """Its enterprise and all below (E1)."""
    ancestor_ids: Sequence[int]


class ApiKeyRefused(Refused):
    """The key can't be made or revoked like this."""


@transaction.atomic
def create_api_key(
    *,
    enterprise: Enterprise,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    user: User,
    now: datetime,
    wall: datetime,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is stored nowhere. Older keys go on: rotation overlaps (F84). Raises ApiKeyRefused.

    `now` dates the record; `wall` is real time, which `expires_at` is compared with.
    """
    Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)  # keys of one enterprise queue: LIVE_KEYS
    name = name.strip()
    _check(enterprise, name, scopes, expires_at, wall)
    prefix = "amp_" + "".join(secrets.choice(PREFIX_LETTERS) for _letter in range(8))
    text = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    key: ApiKey = ApiKey.objects.create(
        enterprise=enterprise,
        name=name,
        prefix=prefix,
        key_hash=hash_of(text),
        scopes=[scope.value for scope in Scope if scope.value in scopes],
        created_at=now,
        created_by=user,
        expires_at=expires_at,
    )
    _record(key, "api_key.created", user, now)
    return key, text


@transaction.atomic
def revoke_api_key(*, key: ApiKey, user: User, now: datetime, wall: datetime) -> ApiKey:
    """End a key with its next request; a revoked one stays as it is."""
    locked: ApiKey = ApiKey.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=key.pk)
    if locked.revoked_at is None:
        locked.revoked_at = wall
        locked.save(update_fields=["revoked_at"])
        _record(locked, "api_key.revoked", user, now)
    return locked


def find_api_key(text: str) -> FoundKey | None:
    """The key with this text, live or not, and what decides about it; None where there is none. Two statements.

    Looked up by the hash of a 256-bit secret, so neither the time nor the answer helps to guess. Runs before there is a
    scope, and asks every table as the platform does.
    """
    if not KEY.fullmatch(text):
        return None
    rows: Any = list(ApiKey._base_manager.raw(FIND, [hash_of(text)]))
    if not rows:
        return None
    key = rows[0]
    with connection.cursor() as cursor:
        cursor.execute(WITHIN, [f"{key.path}%"])
        within = sorted(pk for (pk,) in cursor.fetchall())
    has_rights = bool(key.is_active) and include((row.role for row in rows if row.role), Action.MANAGE_API_KEYS)
    return FoundKey(key, key.maker, has_rights, within, ids_above(key.path))


def has_maker_with_rights(key: ApiKey) -> bool:
    """Whether who made the key is active and may still make keys for its enterprise (X1, F79).

    A key ends with its maker's account or role, at the next request; it works again when the role is given back.
    """
    return key.created_by.is_active and may(key.created_by, Action.MANAGE_API_KEYS, key.enterprise)


def note_use(key: ApiKey, wall: datetime) -> None:
    """Remember that the key is in use, to the hour: one write in an hour however many requests."""
    if key.last_used_at is None or key.last_used_at <= wall - USED_TO:
        hour = wall.replace(minute=0, second=0, microsecond=0)
        stale = Q(last_used_at=None) | Q(last_used_at__lt=hour)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=hour)


def hash_of(text: str) -> str:
    """SHA-256 of a key, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check(enterprise: Enterprise, name: str, scopes: Sequence[str], expires_at: datetime, wall: datetime) -> None:
    problems = []
    if not 1 <= len(name) <= 80:
        problems.append(Problem("name", _("Give a name of 1 to 80 characters: what will use the key.")))
    if not scopes or set(scopes) - {scope.value for scope in Scope}:
        problems.append(Problem("scopes", _("Choose what the key may do, from the list.")))
    if not wall < expires_at <= wall + LONGEST:
        problems.append(Problem("expires_at", _("A key is valid for at most a year. Choose a date within it.")))
    live = ApiKey.objects.filter(enterprise=enterprise, revoked_at=None, expires_at__gt=wall)
    if live.count() >= LIVE_KEYS:
        message = _("This enterprise has %(number)d keys that work. Revoke one first.") % {"number": LIVE_KEYS}
        problems.append(Problem("", message))
    if problems:
        raise ApiKeyRefused(problems)


def _record(key: ApiKey, kind: str, user: User, now: datetime) -> None:
    told = {"prefix": key.prefix, "name": key.name, "scopes": key.scopes, "expires_at": key.expires_at.isoformat()}
    record_about(key, kind, actor=user.email, now=now, after=told)
