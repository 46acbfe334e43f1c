"""Presence and cumulative online time of one device, as pure rules (P1–P7, A2, A3; F60–F62).

`broker_life` tells a broker from its successor, `contact` what losing sight of it means, `events` is what comes in and
what is refused, `sessions` the union of closed sessions and what a late event does to them, `presence` the state
machine. Instants are aware UTC datetimes, lengths integer microseconds, settings whole seconds. It knows no device, no
table and no clock; its callers use the names below.
"""

from devices.online_time.broker_life import BrokerLife, broker_life, has_restarted
from devices.online_time.contact import Contact
from devices.online_time.events import MAX_LATE, Kind, PresenceEvent, Refusal, admit, refusal
from devices.online_time.forgetting import forgettable
from devices.online_time.presence import (
    Correction,
    PresenceState,
    Step,
    apply,
    apply_late,
    close_at_broker_death,
    close_for_silence,
    is_from_the_future,
    rewound,
    silence_deadline,
    total_of,
)
from devices.online_time.sessions import Interval, union, union_length

__all__ = [
    "MAX_LATE",
    "BrokerLife",
    "Contact",
    "Correction",
    "Interval",
    "Kind",
    "PresenceEvent",
    "PresenceState",
    "Refusal",
    "Step",
    "admit",
    "apply",
    "apply_late",
    "broker_life",
    "close_at_broker_death",
    "close_for_silence",
    "forgettable",
    "has_restarted",
    "is_from_the_future",
    "refusal",
    "rewound",
    "silence_deadline",
    "total_of",
    "union",
    "union_length",
]
