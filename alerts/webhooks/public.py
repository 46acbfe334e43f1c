"""What integrators are told: internal kinds of events → public types, and which recorded facts go out.

A kind that isn't here is never sent. Facts are named one by one: no person, no reason in free words, no number of a
gateway, nothing of another tenant (F89).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

TEST = "webhook.test"


class About(StrEnum):
    """What an event is about: its subject, whose public facts are told with it."""

    DEVICE = "device"
    ORDER = "order"
    ENDPOINT = "webhook"


class Public(NamedTuple):
    """A public type, and the recorded facts that it tells: name in the payload → (`before` or `after`, name)."""

    type: str
    about: About
    facts: Mapping[str, tuple[str, str]]


_SERVICE = {"state": ("after", "state"), "previous_state": ("before", "state"), "ends_at": ("after", "ends_at")}
_COMMAND = {"command": ("after", "command"), "generation": ("after", "generation")}
_LOCK = {"lock": ("after", "reported_lock"), **_COMMAND}
_ORDER = {"status": ("after", "status")}
_MONEY = {"amount": ("after", "amount"), "currency": ("after", "currency")}

TABLE: dict[str, Public] = {
    **{
        kind: Public(kind, About.DEVICE, _SERVICE)
        for kind in (
            "device_service.trial_started",
            "device_service.activated",
            "device_service.renewed",
            "device_service.expired",
            "device_service.terminated",
        )
    },
    "device_service.locked": Public("device_service.locked", About.DEVICE, _LOCK),
    "device_service.unlocked": Public("device_service.unlocked", About.DEVICE, _LOCK),
    "device_service.lock_failed": Public("device_service.lock_failed", About.DEVICE, _COMMAND),
    "order.paid": Public("order.paid", About.ORDER, _ORDER),
    "order.fulfilled": Public("order.fulfilled", About.ORDER, {**_ORDER, "unapplied": ("after", "unapplied")}),
    "order.partially_fulfilled": Public(
        "order.fulfilled", About.ORDER, {**_ORDER, "unapplied": ("after", "unapplied")}
    ),
    "order.expired": Public("order.expired", About.ORDER, _ORDER),
    "order.refunded": Public(
        "order.refunded",
        About.ORDER,
        {"refund": ("after", "refund"), **_MONEY, "in_full": ("after", "in_full")},
    ),
    "payment.exception": Public(
        "payment.exception", About.ORDER, {"kind": ("after", "kind"), "payment": ("after", "payment"), **_MONEY}
    ),
    TEST: Public(TEST, About.ENDPOINT, {}),
}
"""Internal kind → what is told of it."""

TYPES = tuple(dict.fromkeys(public.type for public in TABLE.values() if public.type != TEST))
"""Types that an endpoint may choose, in the order of the table."""
KINDS = frozenset(kind for kind in TABLE if kind != TEST)
"""Internal kinds that become deliveries."""


def subject_id(subject: str) -> int:
    """ "device:17" → 17; 0 for a subject without a number."""
    number = subject.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def payload(
    kind: str,
    happened_at: datetime,
    *,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    enterprise: int | None,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a message. `about` are the public facts of the event's subject, as the API tells them."""
    public = TABLE[kind]
    recorded = {"before": before or {}, "after": after or {}}
    facts = {name: recorded[side].get(fact) for name, (side, fact) in public.facts.items()}
    return {
        "type": public.type,
        "timestamp": instant(happened_at),
        "data": {public.about.value: dict(about), "enterprise": enterprise, **_in_utc(facts)},
    }


def instant(value: datetime) -> str:
    """RFC 3339 in UTC, as the API writes it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _in_utc(facts: dict[str, Any]) -> dict[str, Any]:
    """The record keeps instants as text with an offset."""
    return {
        name: instant(datetime.fromisoformat(value)) if name.endswith("_at") and isinstance(value, str) else value
        for name, value in facts.items()
    }
