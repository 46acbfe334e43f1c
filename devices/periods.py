"""What people may do to the time of a device, as pure rules: begin a new life (A6), move what is left of it (A26), take
a part of it back (A14).

Nothing here reads a clock or a database. Instants are aware UTC datetimes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from devices.lifecycle import Facts, State

YOUNG = frozenset({State.PENDING, State.TRIAL})


class RestartRefusal(StrEnum):
    """Why a device can't begin a new life (A6)."""

    TERMINATED = "terminated"
    PAID_MODE_OFF = "paid_mode_off"
    TIME_REMAINS = "time_remains"
    NOTHING_TO_RESTART = "nothing_to_restart"


class TransferRefusal(StrEnum):
    """Why remaining service can't move to another device (A26). The values are stable codes."""

    SAME_DEVICE = "same_device"
    OTHER_PRODUCT = "other_product"
    PAID_MODE_OFF = "paid_mode_off"
    SOURCE_TERMINATED = "source_terminated"
    TARGET_TERMINATED = "target_terminated"
    NOTHING_LEFT = "nothing_left"
    TARGET_RUNS = "target_runs"
    TARGET_HAS_PAID = "target_has_paid"


class Side(NamedTuple):
    """One device of a transfer. `has_paid`: this life of it has, or had, a paid period."""

    device_id: int
    product_id: int
    facts: Facts
    has_paid: bool


class Moved(NamedTuple):
    """The stretch that the replacement gets, `[starts_at, ends_at)`.

    Its end is the new anchor (A14): the next renewal adds its months to exactly that.
    """

    starts_at: datetime
    ends_at: datetime
    ends_trial: bool
    unlocks: bool


class Cut(NamedTuple):
    """An end that moves back. `ends_at` is the new one, and the new anchor (A14); `taken` is always above zero."""

    ends_at: datetime
    taken: timedelta


def unused_time(starts_at: datetime, ends_at: datetime, *, now: datetime, taken: timedelta = timedelta()) -> timedelta:
    """What of the period `[starts_at, ends_at)` lies ahead of `now`, without the time that was `taken` back before."""
    return max(timedelta(), ends_at - max(now, starts_at) - taken)


def cut(facts: Facts, *, wanted: timedelta | None, now: datetime) -> Cut | None:
    """The end once `wanted` is taken back, all that is left where it is None; None where there is nothing to take.

    Only time that lies ahead can be taken: the new end is never before `now`, nor before the device's last event (R8).
    """
    if facts.state is not State.ACTIVE or facts.ends_at is None:
        return None
    left = facts.ends_at - max(now, facts.last_event_at)
    taken = left if wanted is None else min(wanted, left)
    return Cut(facts.ends_at - taken, taken) if taken > timedelta() else None


def restart_refusal(facts: Facts, *, paid_mode: bool, online_time: int) -> RestartRefusal | None:
    """Why this device can't begin a new life now; None where it can (A6).

    `online_time` is what this life has counted, microseconds: a life that hasn't begun can't be begun again.
    """
    if facts.state is State.TERMINATED:
        return RestartRefusal.TERMINATED
    if not paid_mode:  # A25: states are frozen
        return RestartRefusal.PAID_MODE_OFF
    if facts.state is State.ACTIVE:
        return RestartRefusal.TIME_REMAINS
    if facts.state is State.PENDING and not online_time:
        return RestartRefusal.NOTHING_TO_RESTART
    return None


def transfer_refusal(source: Side, target: Side, *, paid_mode: bool, now: datetime) -> TransferRefusal | None:
    """Why the rest of `source` can't move to `target` at `now`; None where it can (A26)."""
    checks = (
        (source.device_id == target.device_id, TransferRefusal.SAME_DEVICE),
        (source.product_id != target.product_id, TransferRefusal.OTHER_PRODUCT),
        (source.facts.state is State.TERMINATED, TransferRefusal.SOURCE_TERMINATED),
        (target.facts.state is State.TERMINATED, TransferRefusal.TARGET_TERMINATED),
        (not paid_mode, TransferRefusal.PAID_MODE_OFF),
        (not _has_time_left(source.facts, now), TransferRefusal.NOTHING_LEFT),
        (target.has_paid, TransferRefusal.TARGET_HAS_PAID),
        (target.facts.state is State.ACTIVE, TransferRefusal.TARGET_RUNS),
    )
    return next((refusal for is_so, refusal in checks if is_so), None)


def moved(source: Facts, target: Facts, *, at: datetime) -> Moved:
    """What the replacement gets. Ask `transfer_refusal` first."""
    if source.ends_at is None or source.ends_at <= at:
        raise ValueError("Nothing is left to move.")
    return Moved(
        starts_at=at,
        ends_at=source.ends_at,
        ends_trial=target.state in YOUNG,
        unlocks=target.state is State.EXPIRED,
    )


def _has_time_left(facts: Facts, now: datetime) -> bool:
    return facts.state is State.ACTIVE and facts.ends_at is not None and facts.ends_at > max(now, facts.last_event_at)
