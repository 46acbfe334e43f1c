"""Reading the inbox: entries of the enterprises in scope, and which of them a member has read (N8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from alerts.models import InboxEntry, InboxRead
from amp.foundation.models import User

SHOWN = 100
"""The newest entries; older ones are in the list of notices."""


def newest(user: User) -> list[tuple[InboxEntry, bool]]:
    """The newest entries in scope, and whether each is new to this member; one query."""
    return [(entry, not entry.is_read) for entry in _entries(user)[:SHOWN]]


def unread(user: User) -> int:
    """How many of the newest entries this member hasn't read; one query."""
    return sum(not is_read for is_read in _entries(user).values_list("is_read", flat=True)[:SHOWN])


@transaction.atomic
def mark_read(user: User, *, now: datetime) -> None:
    """The newest entries have been read as they stand now."""
    fresh = [entry for entry, is_new in newest(user) if is_new]
    reads = [InboxRead(user=user, entry=entry, read_at=max(now, entry.last_at)) for entry in fresh]
    InboxRead.objects.bulk_create(
        reads, update_conflicts=True, update_fields=["read_at"], unique_fields=["user", "entry"]
    )


def _entries(user: User) -> QuerySet[Any]:
    read = InboxRead.objects.filter(user=user, entry=OuterRef("pk"), read_at__gte=OuterRef("last_at"))
    rows: QuerySet[Any] = InboxEntry.objects.annotate(is_read=Exists(read)).select_related("enterprise")
    return rows.order_by(F("id").desc())
