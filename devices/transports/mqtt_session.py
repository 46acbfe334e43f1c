"""A lasting session at the broker: how it is opened, what it subscribes to, and whether the broker agreed."""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import mqtt5

from devices.transports.base import BrokerRefused, BrokerUnavailable
from devices.transports.mqtt import Connection, MqttAddress, connect_packet

log = logging.getLogger(__name__)

SESSION_EXPIRY_SECONDS = 7 * 24 * 3600
"""How long the broker keeps our messages while we are away (wire contract: at least 24 h)."""

EXTRAS_PACKET_ID = 2
"""By which the answer to `Extras` is told from the answer to the session's own subscription."""

_FIRST_REFUSAL = 0x80  # reason codes from here on are refusals
_HANG_UPS = 2


@dataclass(frozen=True)
class LastingSession:
    """What a client says of itself each time it connects; the broker knows the session by `client_id`.

    `expiry` and `keepalive` are seconds; `window` is the receive maximum that the broker must grant.
    """

    address: MqttAddress
    client_id: str
    filters: tuple[str, ...]
    window: int
    expiry: int
    keepalive: int
    tls: ssl.SSLContext | None

    def connect(self) -> Connection:
        """A connection on which the subscription has been asked for; `check` reads the answer.

        Raises BrokerUnavailable or BrokerRefused.
        """
        greeting = connect_packet(self.address, self.client_id, keepalive=self.keepalive, session_expiry=self.expiry)
        connection = Connection.open(self.address, greeting, window=self.window, tls=self.tls)
        try:
            connection.send(self._subscribe_packet().write())
        except BrokerUnavailable:
            connection.abort()
            raise
        return connection

    def check(self, codes: Sequence[mqtt5.SubAckReasonCode]) -> None:
        """Raises BrokerRefused, with the filter, if the broker didn't grant each of them."""
        for pattern, code in zip(self.filters, codes, strict=True):
            if int(code) >= _FIRST_REFUSAL:
                raise BrokerRefused(f"The broker at {self.address} refused the subscription {pattern}: {code.name}")

    def _subscribe_packet(self) -> mqtt5.SubscribePacket:
        # retain_as_published would mark live status messages as retained; without it the flag means "was stored".
        filters = [
            mqtt5.TopicFilter(
                pattern,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain_as_published=False,
                retain_handling=mqtt5.RetainHandling.SEND_ALWAYS,
            )
            for pattern in self.filters
        ]
        return mqtt5.SubscribePacket(1, filters)


class Extras:
    """Subscriptions that are welcome where the broker has them, and given up where it wants none.

    Asked for when the session's own stand: some brokers refuse topics of theirs, others hang up on who asks.
    """

    def __init__(self, filters: Sequence[str]) -> None:
        self._filters = tuple(filters)
        self._is_asking = False
        self._hang_ups = 0

    def question(self) -> bytes:
        """The SUBSCRIBE, empty where there is nothing to ask for."""
        if not self._filters or self._hang_ups == _HANG_UPS:
            return b""
        self._is_asking = True
        filters = [mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS.AT_MOST_ONCE) for pattern in self._filters]
        return mqtt5.SubscribePacket(EXTRAS_PACKET_ID, filters).write()

    def answered(self, codes: Sequence[mqtt5.SubAckReasonCode]) -> None:
        """A refusal is no trouble: what is missing is missed, the rest goes on."""
        self._is_asking, self._hang_ups = False, 0
        for pattern, code in zip(self._filters, codes, strict=True):
            if int(code) >= _FIRST_REFUSAL:
                log.info("The broker has nothing to say about %s: %s", pattern, code.name)

    def connection_lost(self) -> None:
        """Where it ended instead of an answer, twice in a row, the question is what ended it."""
        if self._is_asking:
            self._is_asking = False
            self._hang_ups += 1
            if self._hang_ups == _HANG_UPS:
                log.warning("The broker hangs up on who asks for %s; going on without.", ", ".join(self._filters))
