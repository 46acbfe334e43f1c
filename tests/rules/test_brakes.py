"""The brakes as pure rules (P8): how many LOCKs go, what holds the others, until when presence settles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.brakes import (
    OUTAGE,
    HoldReason,
    Limits,
    Listener,
    LockCause,
    at_work,
    brake_of,
    counted,
    let_go,
    passed_lately,
    settles_until,
)
from devices.delivery import (
    CommandStatus,
    Standing,
    attempted,
    braked,
    closed,
    created,
    is_stale,
    on_its_way_until,
    released,
    woken,
)

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SETTLE = 5 * MINUTE
LIMITS = Limits(least=100, percent=20, settle=SETTLE)


@pytest.mark.parametrize(
    ("devices", "allowance"), [(0, 100), (499, 100), (500, 100), (505, 101), (509, 101), (1_000_000, 200_000)]
)
def test_p8_the_allowance_is_the_larger_of_a_number_and_a_share(devices: int, allowance: int) -> None:
    assert LIMITS.allowance(devices) == allowance


@pytest.mark.parametrize(
    ("wanted", "passed", "is_on", "goes"),
    [(300, 0, False, 100), (1, 99, False, 1), (2, 99, False, 1), (1, 100, False, 0), (5, 240, False, 0),
     (5, 0, True, 0), (0, 0, False, 0)],
)  # fmt: skip
def test_p8_the_first_up_to_the_allowance_go(wanted: int, passed: int, is_on: bool, goes: int) -> None:
    assert let_go(wanted, passed=passed, allowance=100, is_on=is_on) == goes


@given(st.lists(st.tuples(st.integers(0, 3 * 3600), st.integers(0, 60)), max_size=40), st.integers(1, 50))
def test_p8_no_hour_ever_sees_more_than_the_allowance(orders: list[tuple[int, int]], allowance: int) -> None:
    minutes: dict[int, int] = {}
    gone: list[tuple[datetime, int]] = []
    for seconds, wanted in sorted(orders):
        at = NOW + seconds * SECOND
        number = let_go(wanted, passed=passed_lately(minutes, at), allowance=allowance, is_on=False)
        minutes = counted(minutes, number, at)
        gone.append((at, number))
    assert len(minutes) <= 61
    for at, _number in gone:
        assert sum(number for then, number in gone if at - HOUR < then <= at) <= allowance


@given(st.integers(0, 200), st.integers(0, 200))
def test_p8_after_an_hour_and_a_minute_nothing_counts_any_more(first: int, second: int) -> None:
    minutes = counted(counted({}, first, NOW), second, NOW + MINUTE)
    assert passed_lately(minutes, NOW + MINUTE) == first + second
    assert passed_lately(minutes, NOW + HOUR + 2 * MINUTE) == 0
    assert counted(minutes, 0, NOW + 2 * HOUR) == {}


def test_p8_the_count_of_a_worker_whose_clock_is_ahead_is_kept() -> None:
    minutes = counted(counted({}, 7, NOW + 2 * MINUTE), 1, NOW)
    assert passed_lately(minutes, NOW) == 8


# ------------------------------------------------------------------------------------------------------ the outage


def listener(heard: timedelta, back: timedelta | None = None, name: str = "amp-bridge") -> Listener:
    """Heard and back so long ago."""
    return Listener(name, NOW - heard, NOW - back if back is not None else None)


@pytest.mark.parametrize(
    ("listeners", "until"),
    [
        ([], None),
        ([listener(OUTAGE)], None),
        ([listener(OUTAGE + SECOND)], NOW + SETTLE),
        ([listener(SECOND, timedelta())], NOW + SETTLE),
        ([listener(SECOND, SETTLE - SECOND)], NOW + SECOND),
        ([listener(SECOND, SETTLE)], None),
        ([listener(SECOND, -HOUR)], None),  # the test clock went back
        ([listener(-HOUR)], None),
        ([listener(SECOND, name="a-1of2"), listener(MINUTE, name="a-2of2")], NOW + SETTLE),
        ([listener(SECOND, MINUTE, "a-1of2"), listener(SECOND, 2 * MINUTE, "a-2of2")], NOW + 4 * MINUTE),
        ([listener(SECOND, name="a-1of2"), listener(HOUR, name="a-3of4"), listener(HOUR, name="a")], None),
        ([listener(HOUR, name="a-1of2"), listener(2 * HOUR, name="a-3of4")], NOW + SETTLE),
    ],
)
def test_p8_presence_settles_after_an_outage(listeners: list[Listener], until: datetime | None) -> None:
    assert settles_until(listeners, settle=SETTLE, now=NOW) == until
    assert settles_until(listeners, settle=timedelta(), now=NOW) is None, "a settle time of 0 holds nothing"


def test_bridges_at_work_are_those_of_the_size_heard_last() -> None:
    old, one, two = listener(HOUR, name="a"), listener(MINUTE, name="a-1of2"), listener(SECOND, name="a-2of2")
    assert set(at_work([old, one, two])) == {one, two}


@pytest.mark.parametrize(
    ("cause", "is_settling", "reason"),
    [
        (LockCause.TRIAL_END, True, HoldReason.SETTLING),
        (LockCause.PERIOD_END, True, HoldReason.TOO_MANY),
        (LockCause.RULE, True, HoldReason.TOO_MANY),
        (LockCause.TRIAL_END, False, HoldReason.TOO_MANY),
    ],
)
def test_p8_only_trial_ends_derive_from_presence(cause: LockCause, is_settling: bool, reason: HoldReason) -> None:
    assert brake_of(cause, is_settling=is_settling) is reason


# ------------------------------------------------------------------------------------------------- a held command


def held(cache: timedelta = 7 * 24 * HOUR) -> Standing:
    return braked(created(now=NOW, cache=cache, is_online=True), hold_id=1)


@given(
    st.timedeltas(min_value=timedelta(), max_value=timedelta(days=90)),
    st.timedeltas(min_value=timedelta(), max_value=timedelta(days=900)),
    st.booleans(),
)
def test_p8_a_held_lock_sleeps_and_its_cache_time_starts_at_release(
    cache: timedelta, later: timedelta, is_online: bool
) -> None:
    at = NOW + later
    sleeping = held(cache)
    assert sleeping.due_at is None
    assert woken(sleeping, now=at) == sleeping
    assert not is_stale(sleeping, at)
    assert on_its_way_until(sleeping, at) is None
    free = released(sleeping, is_online=is_online, now=at)
    assert (free.hold_id, free.stale_at - at, free.created_at) == (None, cache, NOW)
    assert free.due_at is not None
    assert free.due_at >= max(at, min(NOW + 5 * SECOND, at + 5 * SECOND))
    assert not is_stale(free, at + cache)
    assert free.tries_once == (not cache)
    tried = attempted(free, is_online=True, now=max(free.due_at, at) if not cache else at)
    assert tried.status is CommandStatus.SENT
    assert is_stale(free, at + cache + 2 * MINUTE)


def test_p8_a_held_lock_that_is_over_is_held_no_more() -> None:
    for status in (CommandStatus.CANCELLED, CommandStatus.SUPERSEDED):
        over = closed(held(), status, NOW + HOUR)
        assert (over.hold_id, over.status) == (None, status)
