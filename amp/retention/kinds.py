"""All kinds of rows that don't stay for ever, and the sweep that deletes them (X5, docs/decisions/0019).

What isn't here stays: ledgers (periods and their cuts, money), orders and their lines, payments, refunds, fapiao,
bills, exceptions, and what people set up. Answers to repeated requests, selections and the lines of imports have a
moment of their own at which they go.
"""

from __future__ import annotations

from datetime import datetime

from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.services import retention as alerts
from amp.foundation.services import retention_kinds as foundation
from amp.foundation.services.retention import Kept, Moments, forget_old_rows
from devices.services import retention as devices

SLICE = 2_000

SIGN_INS = Kept(
    name="sign_ins",
    title=_("Failures to sign in"),
    model=AccessAttempt,
    born="",  # a row is dated anew by every further failure
    least=1,
    days=90,
    over=lambda cutoff: Q(attempt_time__lt=cutoff),
)
LOG = Kept(
    name="admin_log",
    title=_("Django's own log of the admin"),
    model=LogEntry,
    born="action_time",
    least=30,
    days=365,
    over=lambda cutoff: Q(action_time__lt=cutoff),
)
KINDS: tuple[Kept, ...] = (
    # Who refers to others goes before them.
    alerts.DELIVERIES,
    alerts.NOTICES,
    alerts.MAILS,
    alerts.INBOX,
    devices.SESSIONS,
    alerts.COMMANDS_WITHOUT_NOTICES,
    devices.DISCONNECTS,
    devices.HOLDS,
    devices.IMPORTS,
    foundation.INVITATIONS,
    foundation.ALARMS,
    SIGN_INS,
    LOG,
    alerts.EVENTS_SENT,
    alerts.AUDIT_SENT,
)


def forget(*, now: datetime, wall: datetime, limit: int = SLICE) -> int:
    """One slice of everything that is old; rows that were looked at, `limit` where more may be left."""
    looked = _forget_logins(wall, limit)
    return looked if looked >= limit else max(looked, forget_old_rows(KINDS, Moments(now, wall), limit=limit))


def _forget_logins(wall: datetime, limit: int) -> int:
    """Sessions of browsers that nobody can use any more; they have an end of their own and an index on it."""
    ended = Session.objects.filter(expire_date__lt=wall).order_by("expire_date").values_list("pk", flat=True)
    keys = list(ended[:limit])
    if keys:
        Session.objects.filter(pk__in=keys, expire_date__lt=wall).delete()
    return len(keys)
