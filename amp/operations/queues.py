"""The queues of wake-ups as the broker has them: how many wait, and since when the oldest.

Nothing of value is in them (R5): what is lost here, the next sweep finds. A long queue says that workers are missing.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from celery import current_app

SENT_AT = "amp_sent_at"
"""Header of a message: when it was sent, in ISO 8601."""
PATIENCE = 2
"""Seconds for a connection to a broker that may be away."""
LISTEN_SECONDS = 0.7


class Queue(NamedTuple):
    """One queue; `oldest_seconds` is None where nothing waits, or the broker can't tell."""

    name: str
    length: int
    oldest_seconds: float | None


def read_queues(wall: datetime) -> list[Queue]:
    """All queues that workers of this installation read. Raises what the broker's driver raises when it is away."""
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=0, timeout=PATIENCE)
        channel = broker.default_channel
        missing = broker.channel_errors
        return [Queue(name, _length(channel, name, missing), _oldest(channel, name, wall)) for name in _names()]


def read_workers() -> list[str]:
    """Names of the workers that answer within a moment. Raises as `read_queues`."""
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=0, timeout=PATIENCE)
        answers = current_app.control.ping(timeout=LISTEN_SECONDS, connection=broker)
    return sorted(name for answer in answers for name in answer)


def _names() -> list[str]:
    return sorted(current_app.amqp.queues)


def _length(channel: Any, name: str, missing: tuple[type[Exception], ...]) -> int:
    try:
        return int(channel.queue_declare(queue=name, passive=True).message_count)
    except missing:  # an empty queue doesn't exist
        return 0


def _oldest(channel: Any, name: str, wall: datetime) -> float | None:
    """Redis keeps the oldest at the list's end; other brokers don't let anybody look."""
    client = getattr(channel, "client", None)
    message = client.lindex(name, -1) if client is not None and hasattr(client, "lindex") else None
    if message is None:
        return None
    try:
        sent_at = datetime.fromisoformat(json.loads(message)["headers"][SENT_AT])
    except (KeyError, TypeError, ValueError):
        return None
    return max((wall - sent_at).total_seconds(), 0.0)
