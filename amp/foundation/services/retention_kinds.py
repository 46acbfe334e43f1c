"""What of the foundation's tables doesn't stay for ever (X5): events that aren't about money, and what is long over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.appendonly import KEPT_FOR_EVER, LEAST_DAYS, Permit, permitted
from amp.foundation.models import AlarmRow, Event, Invitation
from amp.foundation.services.retention import Kept, remove_rows

LEAST = LEAST_DAYS + 1
"""A day more than the database insists on: two clocks never agree."""
OF_DEVICES = Q(kind__startswith="device") | Q(kind__startswith="command.")
STATES = "device_service."
"""Of these events a device keeps the last that names a state: the audit compares it with the state (R9)."""


def _is_free() -> Q:
    """Not about money, and not the last word on the state of a device's service."""
    free = Q()
    for word in KEPT_FOR_EVER:
        free &= ~Q(kind__startswith=f"{word}.")
    later = Event._base_manager.filter(
        subject=OuterRef("subject"), kind__startswith=STATES, id__gt=OuterRef("id"), after__has_key="state"
    )
    return free & (~Q(kind__startswith=STATES) | Q(Exists(later)))


def _remove_events(kept: Kept, ids: Sequence[int], cutoff: datetime) -> int:
    with permitted(Permit.RETENTION):
        return remove_rows(kept, ids, cutoff)


EVENTS = Kept(
    name="events",
    title=_("Events of devices and commands"),
    model=Event,
    born="noticed_at",
    least=LEAST,
    days=3 * 365,
    over=lambda cutoff: OF_DEVICES & _is_free() & Q(noticed_at__lt=cutoff),
    remove=_remove_events,
)
AUDIT = Kept(
    name="audit",
    title=_("Other events of the audit, without those about money"),
    model=Event,
    born="noticed_at",
    least=LEAST,
    days=5 * 365,
    over=lambda cutoff: ~OF_DEVICES & _is_free() & Q(noticed_at__lt=cutoff),
    remove=_remove_events,
)
ALARMS = Kept(
    name="alarms",
    title=_("Alarms that are over"),
    model=AlarmRow,
    born="began_at",
    least=7,
    days=365,
    over=lambda cutoff: Q(cleared_at__lt=cutoff, due_at=None),
)
INVITATIONS = Kept(
    name="invitations",
    title=_("Invitations that are over"),
    model=Invitation,
    born="created_at",
    least=30,
    days=365,
    over=lambda cutoff: Q(expires_at__lt=cutoff),
)
