"""So many requests a minute for each key, counted in the cache; a dead Redis refuses nobody (R5)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from amp.foundation import clock
from amp.foundation.api.authentication import Caller

if TYPE_CHECKING:
    from rest_framework.views import APIView

log = logging.getLogger(__name__)


class Rate(NamedTuple):
    """What is left of this minute of real time."""

    limit: int
    remaining: int
    seconds: int


class KeyThrottle(BaseThrottle):
    """A window of one minute for each key."""

    rate: Rate | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the request; False beyond the limit."""
        if not isinstance(request.auth, Caller):
            return True
        wall, limit = clock.wall(), settings.API_REQUESTS_PER_MINUTE
        name = f"api:{request.auth.key.pk}:{wall:%Y%m%d%H%M}"
        try:
            count = _counted(name)
        except Exception:  # noqa: BLE001 (whatever a cache raises, losing it must not close the API, R5)
            log.warning("The API's throttle has no cache to count in.")
            return True
        self.rate = Rate(limit, max(limit - count, 0), 60 - wall.second)
        request.auth_rate = self.rate  # type: ignore[attr-defined]
        return count <= limit

    def wait(self) -> float:
        """Seconds to the next window."""
        return self.rate.seconds if self.rate else 60


def _counted(name: str) -> int:
    """One more in this minute's window; only the first in it has to open it."""
    try:
        return cache.incr(name)
    except ValueError:
        cache.add(name, 0, timeout=120)  # of several at once, one opens it
        return cache.incr(name)
