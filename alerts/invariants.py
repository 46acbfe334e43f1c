"""What must always hold for notices, checked from outside (N4; promises)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Q

from alerts.models import Channel, Notice, NoticeStatus
from amp.foundation.invariants import Violation
from amp.foundation.scoping import system_scope

PATIENCE = timedelta(minutes=10)
"""Nothing that is due may lie undone longer than this; mails wait for their hour."""


def violations(*, now: datetime) -> list[Violation]:
    """Every violation in the alerts app."""
    with system_scope():
        return [*_undone(now), *_outdated(), *_tenants()]


def _undone(now: datetime) -> Iterator[Violation]:
    """A notice that fell due went out, or says why not."""
    waiting = Notice.objects.filter(status=NoticeStatus.DUE.value, noticed_at__lt=now - PATIENCE)
    for pk in waiting.exclude(channel=Channel.EMAIL.value).values_list("id", flat=True):
        yield Violation("nothing_due_is_undone", f"notice {pk}")


def _outdated() -> Iterator[Violation]:
    """A command carries the end of its notice, and left before that end."""
    carried = Notice.objects.filter(channel=Channel.TSL.value, command__isnull=False)
    wrong = carried.filter(~Q(command__announces_end=F("ends_at")) | Q(command__sent_at__gte=F("ends_at")))
    for pk in wrong.values_list("id", flat=True):
        yield Violation("notice_tells_of_its_own_end", f"notice {pk}")


def _tenants() -> Iterator[Violation]:
    """What hangs on a device shares its enterprise."""
    foreign = Notice.objects.exclude(enterprise_id=F("device__enterprise_id"))
    for pk in foreign.values_list("id", flat=True):
        yield Violation("no_reference_across_tenants", f"notice {pk}")
