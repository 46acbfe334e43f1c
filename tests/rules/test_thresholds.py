"""Which expiry notice is due when (N1, N2, N4, N5, N6, N9), as a table and as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.thresholds import (
    WIRE_DAYS,
    WIRE_SERVICES,
    WIRE_STATUSES,
    Reason,
    Service,
    Term,
    Threshold,
    due_notices,
    falls_due_at,
    late_reason,
    next_moment,
    waits_until,
)
from devices.lifecycle import State

END = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
LONG_AGO = END - 400 * DAY


def told(now, *, state=State.ACTIVE, set_at=LONG_AGO, since=LONG_AGO, end=END, frozen=False, days=WIRE_DAYS):
    """(days, why it was skipped) of the notices that have come."""
    thresholds = [Threshold(each, since) for each in days]
    return [(due.days, due.skipped) for due in due_notices(Term(state, end, set_at, frozen), thresholds, now)]


def test_n2_n3_wire_values() -> None:
    assert WIRE_STATUSES == {30: 1, 7: 2, 1: 3}
    assert WIRE_SERVICES == {Service.SIM: 1, Service.RTK: 2, Service.DEVICE: 3}


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (30 * DAY + TICK, []),
        (30 * DAY, [(30, None)]),
        (7 * DAY + TICK, [(30, None)]),
        (7 * DAY, [(7, None), (30, Reason.OVERTAKEN)]),
        (DAY, [(1, None), (7, Reason.OVERTAKEN), (30, Reason.OVERTAKEN)]),
        (TICK, [(1, None), (7, Reason.OVERTAKEN), (30, Reason.OVERTAKEN)]),
        (0 * DAY, [(1, Reason.PAST_END), (7, Reason.PAST_END), (30, Reason.PAST_END)]),
        (-31 * DAY, [(1, Reason.PAST_END), (7, Reason.PAST_END), (30, Reason.PAST_END)]),
    ],
)
def test_n1_n5_after_downtime_only_the_most_urgent_goes_out(before, expected) -> None:
    assert told(END - before) == expected


@pytest.mark.parametrize(
    ("set_before", "expected"),
    [(30 * DAY + TICK, 30), (30 * DAY, 7), (10 * DAY, 7), (7 * DAY, 1), (DAY + TICK, 1), (DAY, None), (0 * DAY, None)],
)
def test_n5_a_moment_at_or_before_the_setting_of_the_end_never_comes(set_before, expected) -> None:
    """A 10-day period never gets the 30-day notice."""
    come = told(END - TICK, set_at=END - set_before)
    assert max((days for days, _ in come), default=None) == expected
    assert come == told(END - TICK, since=END - set_before), "switching on counts as setting does"


@pytest.mark.parametrize("state", [State.PENDING, State.TRIAL, State.FREE, State.EXPIRED, State.TERMINATED])
def test_n9_nothing_is_announced_outside_a_paid_time(state) -> None:
    assert told(END - TICK, state=state) == []


def test_n5_n9_what_was_missed_until_the_end_is_on_record_after_it() -> None:
    assert {reason for _, reason in told(END, state=State.EXPIRED)} == {Reason.PAST_END}
    assert told(END, state=State.TERMINATED) == []


def test_n3_services_without_a_state_are_announced() -> None:
    assert told(END - 7 * DAY, state=None) == told(END - 7 * DAY)


def test_a25_nothing_goes_out_while_paid_mode_is_off() -> None:
    assert told(END - 7 * DAY, frozen=True) == [(7, Reason.FROZEN), (30, Reason.FROZEN)]


def test_n6_a_notice_waits_until_the_next_threshold_or_the_end() -> None:
    assert [waits_until(END, days) for days in WIRE_DAYS] == [END - 7 * DAY, END - DAY, END]
    assert waits_until(END, 60, [60, 30, 7, 1]) == END - 30 * DAY
    assert late_reason(END, 30, END - 7 * DAY - TICK, WIRE_DAYS) is None
    assert late_reason(END, 30, END - 7 * DAY, WIRE_DAYS) is Reason.OVERTAKEN
    assert late_reason(END, 1, END - TICK, WIRE_DAYS) is None
    assert late_reason(END, 1, END, WIRE_DAYS) is Reason.PAST_END


moments = st.integers(min_value=-90 * 86_400, max_value=90 * 86_400).map(lambda n: END + timedelta(seconds=n))


@given(
    set_at=moments,
    since=moments,
    looks=st.lists(moments, min_size=1, max_size=12),
    days=st.sets(st.sampled_from([1, 2, 7, 14, 30, 45, 60]), max_size=5),
)
def test_n4_n5_whenever_one_looks_each_threshold_is_told_once_and_in_order(set_at, since, looks, days) -> None:
    """Sweeps at any moments, with any gaps: as the database keeps the first answer, so does this."""
    kept = {}
    for now in sorted(looks):
        come = told(now, set_at=set_at, since=since, days=days)
        fresh = {each: why for each, why in come if each not in kept}
        assert sum(why is None for why in fresh.values()) <= 1, "one look, one notice at most"
        kept |= fresh
    last = max(looks)
    expected = {each for each in days if max(set_at, since) < falls_due_at(END, each) <= last}
    assert kept.keys() == expected, "every moment that has come is on record, no other"
    out = [each for each, why in kept.items() if why is None]
    assert out == sorted(out, reverse=True), "ever more urgent"
    if last >= END and not any(now < END for now in looks):
        assert not out


@given(set_at=moments, since=moments, now=moments)
def test_n5_the_next_moment_is_the_first_at_which_something_new_comes(set_at, since, now) -> None:
    thresholds = [Threshold(days, since) for days in WIRE_DAYS]
    term = Term(State.ACTIVE, END, set_at)
    now = max(now, since)
    at = next_moment(term, thresholds, now)
    before = {due.days for due in due_notices(term, thresholds, now)}
    if at is None:
        assert {due.days for due in due_notices(term, thresholds, END + 99 * DAY)} == before
    else:
        assert {due.days for due in due_notices(term, thresholds, at - TICK)} == before
        assert {due.days for due in due_notices(term, thresholds, at)} > before
