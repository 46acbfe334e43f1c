"""The tab of notices on a device's page."""

from __future__ import annotations

from typing import NamedTuple

from alerts.admin_views.cells import outcome, reason, threshold
from alerts.models import Notice
from devices.models import Device

ROWS = 50


class Told(NamedTuple):
    """A notice in words."""

    notice: Notice
    threshold: str
    word: str
    tone: str
    reason: str


def count(device: Device) -> int:
    """How many notices there are about this device's services."""
    return int(Notice.objects.filter(device=device).count())


def notices(device: Device) -> list[Told]:
    """The newest ones; one query."""
    rows = Notice.objects.filter(device=device).select_related("command").order_by("-id")[:ROWS]
    return [Told(row, threshold(row.days), *outcome(row), reason(row)) for row in rows]
