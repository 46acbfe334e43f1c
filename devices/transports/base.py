"""What dispatch may ask of a transport, in our own words."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class BrokerUnavailable(Exception):
    """The broker can't be reached, fell silent or broke the connection; try again later."""


class BrokerRefused(Exception):
    """The broker answered and said no (credentials, a limit, its protocol); a person must change a setting."""


class Outcome(StrEnum):
    """What became of one message.

    PUBLISHED and NO_SUBSCRIBER were taken by the broker. REFUSED never will be as it stands. UNCONFIRMED left this
    process but no acknowledgement came: it may have been delivered. NOT_SENT never left.
    """

    PUBLISHED = "published"
    NO_SUBSCRIBER = "no_subscriber"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    NOT_SENT = "not_sent"


class Downlink(NamedTuple):
    """One message for one device: the full topic and the encoded payload."""

    topic: str
    payload: bytes


class Receipt(NamedTuple):
    """The outcome of one message, with the reason a person may read when it isn't PUBLISHED."""

    outcome: Outcome
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the broker took the message; NO_SUBSCRIBER counts, for nobody listened but nothing went wrong."""
        return self.outcome in (Outcome.PUBLISHED, Outcome.NO_SUBSCRIBER)


class Ended(StrEnum):
    """What became of a connection. UNSUPPORTED: this broker has no call for it."""

    ENDED = "ended"
    NOT_CONNECTED = "not_connected"
    UNSUPPORTED = "unsupported"


class ConnectionControl(Protocol):
    """A way to have the broker throw a client out. Whether it may come back is decided by its credential."""

    def disconnect(self, client_id: str, *, timeout: float = 3.0) -> Ended:
        """End the connection of `client_id`, waiting `timeout` seconds at most for each step of the call.

        Raises BrokerUnavailable (try again later) or BrokerRefused (a person must change a setting).
        """


class CommandTransport(Protocol):
    """A way to hand commands to devices: at least once, never retained, worthless after five seconds."""

    def publish(self, messages: Sequence[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        """Publish all messages in order and return one receipt for each, in the same order.

        Takes at most about `timeout` seconds. Raises BrokerUnavailable or BrokerRefused only if no message was sent;
        once one was, trouble is told by the receipts.
        """

    def ping(self, *, timeout: float = 5.0) -> float:
        """Seconds that one round trip to the broker takes. Raises BrokerUnavailable or BrokerRefused."""

    def close(self) -> None:
        """Let the connection go; the next call opens another."""
