"""A transport that sends nothing: it records what would have been published. For previews, tools and tests."""

import threading
from collections.abc import Sequence

from devices.transports.base import BrokerUnavailable, Downlink, Outcome, Receipt

_MAX_TOPIC_BYTES = 65534


class RecordedTransport:
    """The CommandTransport in memory, held to the same contract as the real one.

    `published` lists what a broker would have taken, oldest first. `reachable = False` plays a broker that is down;
    topics in `unheard` get NO_SUBSCRIBER.
    """

    def __init__(self) -> None:
        self.published: list[Downlink] = []
        self.unheard: set[str] = set()
        self.reachable = True
        self._lock = threading.Lock()

    def publish(self, messages: Sequence[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        self.ping(timeout=timeout)
        with self._lock:
            return [self._record(message) for message in messages]

    def ping(self, *, timeout: float = 5.0) -> float:
        if not self.reachable:
            raise BrokerUnavailable("The recorded broker was switched off")
        return 0.0

    def close(self) -> None:
        """Nothing to let go."""

    def _record(self, message: Downlink) -> Receipt:
        reason = _why_not(message.topic)
        if reason:
            return Receipt(Outcome.REFUSED, reason)
        self.published.append(message)
        if message.topic in self.unheard:
            return Receipt(Outcome.NO_SUBSCRIBER, "nobody is subscribed")
        return Receipt(Outcome.PUBLISHED)


def _why_not(topic: str) -> str:
    """Why MQTT refuses to publish to `topic` (MQTT 5, section 4.7), or an empty string."""
    if not topic:
        return "a topic can't be empty"
    if any(sign in topic for sign in "+#\0"):
        return "a topic can't hold wildcards or null characters"
    return "the topic is too long" if len(topic.encode()) > _MAX_TOPIC_BYTES else ""
