"""How many brakes wait for a person, beside the menu entry on every page: remembered for some seconds by each process.

What is remembered are enterprises, of all tenants; what is told are those in the reader's scope (R6).
"""

from __future__ import annotations

import threading
import time

from django_scopes import get_scope

from amp.foundation.scoping import system_scope
from devices.brakes import HoldReason
from devices.models import HoldStatus, LockHold

FRESH_SECONDS = 5.0

_looking = threading.Lock()
_looked_at = float("-inf")
_places: frozenset[int] = frozenset()


def brakes_on() -> int:
    """Enterprises in the active scope whose LOCKs wait for a person (P8)."""
    scope = get_scope()
    places = _braked()
    if scope.get("_enabled", True) and "enterprise" not in scope:
        return 0
    own = scope.get("enterprise")
    return len(places if own is None else places.intersection(own))


def forget() -> None:
    """Look anew at the next question: for the process that has just decided."""
    global _looked_at
    with _looking:
        _looked_at = float("-inf")


def _braked() -> frozenset[int]:
    global _looked_at, _places
    with _looking:
        if time.monotonic() - _looked_at > FRESH_SECONDS:
            _places, _looked_at = _stored(), time.monotonic()
        return _places


def _stored() -> frozenset[int]:
    with system_scope():
        rows = LockHold.objects.filter(status=HoldStatus.HOLDING.value, reason=HoldReason.TOO_MANY.value)
        return frozenset(rows.values_list("enterprise_id", flat=True))
