"""The life of a device service as a table (A1–A18), without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.lifecycle import (
    AUTO_GRACE,
    Facts,
    Included,
    Lock,
    RenewalNotAllowed,
    RenewalRefusal,
    State,
    Terms,
    after,
    crossing,
    due_at,
    due_transition,
    renewal,
    renewal_refusal,
)

T0 = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
US = 1_000_000
YEAR_FREE = Included("Included year", 12, 1)


def terms(**changed: object) -> Terms:
    base = Terms(
        paid_mode=True,
        trial_start=5 * 60,
        trial_end=10 * 60,
        included=None,
        included_refusal=None,
        early_renewal=False,
        time_zone="Asia/Shanghai",
        thresholds_since=T0 - 365 * 24 * HOUR,
    )
    return base._replace(**changed)  # type: ignore[arg-type]


def facts(state: State = State.PENDING, **changed: object) -> Facts:
    base = Facts(
        state=state,
        life=1,
        counts_from=0,
        counted=0,
        open_since=None,
        closed=(),
        trial_end=600 if state is State.TRIAL else None,
        auto_spent=False,
        auto_failed_at=None,
        anchor=None,
        anchor_months=0,
        ends_at=None,
        last_event_at=T0 - HOUR,
    )
    return base._replace(**changed)  # type: ignore[arg-type]


def active(ends_at: datetime, months: int = 12) -> Facts:
    return facts(State.ACTIVE, anchor=T0, anchor_months=months, ends_at=ends_at, auto_spent=True)


def live(state: Facts, rule: Terms, now: datetime) -> tuple[Facts, list[tuple[State, datetime]]]:
    """Everything that is due by `now`, one after the other."""
    moves = []
    while step := due_transition(state, rule, now):
        state = after(state, step, rule)
        moves.append((step.to, step.at))
        assert len(moves) < 10
    return state, moves


def test_a1_with_paid_mode_off_nothing_counts_and_nothing_locks() -> None:
    off = terms(paid_mode=False)
    for state in (facts(counted=10**12), active(T0 - HOUR), facts(State.TRIAL, counted=10**12)):
        assert due_transition(state, off, T0) is None
        assert due_at(state, off, T0) is None


@pytest.mark.parametrize(
    ("online_for", "expected"),
    [
        (timedelta(minutes=4, seconds=59), []),
        (5 * MINUTE, [(State.TRIAL, T0 + 5 * MINUTE)]),
        (10 * MINUTE - timedelta(microseconds=1), [(State.TRIAL, T0 + 5 * MINUTE)]),
        (10 * MINUTE, [(State.TRIAL, T0 + 5 * MINUTE), (State.EXPIRED, T0 + 10 * MINUTE)]),
        (3 * HOUR, [(State.TRIAL, T0 + 5 * MINUTE), (State.EXPIRED, T0 + 10 * MINUTE)]),
    ],
)
def test_a2_a3_a_trial_of_five_to_ten_minutes_moves_while_the_device_stays_online(
    online_for: timedelta, expected: list[tuple[State, datetime]]
) -> None:
    """The seed's example; the moments are exact, however late the sweep looks (P7, A17)."""
    assert live(facts(open_since=T0), terms(), T0 + online_for)[1] == expected


def test_p7_thresholds_inside_closed_sessions_give_the_same_moments_to_a_late_sweep() -> None:
    closed = ((T0, T0 + 2 * HOUR), (T0 + 5 * HOUR, T0 + 8 * HOUR))
    rule = terms(trial_start=3600, trial_end=4 * 3600)
    offline = facts(counted=5 * 3600 * US, closed=closed)
    assert live(offline, rule, T0 + 100 * HOUR)[1] == [(State.TRIAL, T0 + HOUR), (State.EXPIRED, T0 + 7 * HOUR)]


def test_a3_start_zero_begins_the_trial_at_the_first_connect() -> None:
    rule = terms(trial_start=0)
    assert due_at(facts(), rule, T0) is None
    assert live(facts(open_since=T0), rule, T0)[1] == [(State.TRIAL, T0)]
    was_online = facts(counted=60 * US, closed=((T0, T0 + MINUTE),))
    assert live(was_online, rule, T0 + HOUR)[1] == [(State.TRIAL, T0)]


def test_a4_online_time_before_paid_mode_does_not_count() -> None:
    enabled = facts(counted=100 * 3600 * US, counts_from=100 * 3600 * US, open_since=T0)
    assert crossing(enabled, 300) == T0 + 5 * MINUTE
    assert crossing(facts(counts_from=None, counted=10**15, open_since=T0), 300) is None


def test_a5_a_lower_start_threshold_moves_devices_from_now_on_never_in_the_past() -> None:
    long_online = facts(open_since=T0 - 1000 * HOUR)
    moved = due_transition(long_online, terms(thresholds_since=T0), T0 + MINUTE)
    assert moved is not None
    assert moved.at == T0


def test_a5_the_end_threshold_is_frozen_when_the_trial_begins() -> None:
    in_trial = facts(State.TRIAL, trial_end=600, open_since=T0)
    assert due_at(in_trial, terms(trial_end=10**6), T0) == T0 + 10 * MINUTE


def test_a7_a_device_that_never_comes_online_stays_pending_for_ever() -> None:
    assert live(facts(), terms(), T0 + 10**6 * HOUR)[1] == []


def test_a8_without_auto_subscription_the_trial_ends_in_a_lock() -> None:
    step = due_transition(facts(State.TRIAL, open_since=T0), terms(), T0 + HOUR)
    assert step is not None
    assert (step.to, step.lock) == (State.EXPIRED, Lock.LOCKED)


def test_a10_auto_subscription_gives_its_period_from_the_crossing_once_a_life() -> None:
    rule = terms(included=YEAR_FREE)
    state, moves = live(facts(open_since=T0), rule, T0 + HOUR)
    assert moves[-1] == (State.ACTIVE, T0 + 10 * MINUTE)
    assert state.ends_at == datetime(2027, 1, 31, 9, 10, tzinfo=UTC)
    again = facts(State.TRIAL, open_since=T0, auto_spent=True)
    assert live(again, rule, T0 + HOUR)[1] == [(State.EXPIRED, T0 + 10 * MINUTE)]


def test_a11_a_plan_that_cannot_start_holds_the_trial_for_a_day_then_locks() -> None:
    rule = terms(included=YEAR_FREE, included_refusal="included_plan_withdrawn")
    noticed = T0 + HOUR
    held, moves = live(facts(State.TRIAL, open_since=T0), rule, noticed)
    assert moves == [(State.TRIAL, noticed)]
    assert held.auto_failed_at == noticed
    assert due_transition(held, rule, noticed + AUTO_GRACE - MINUTE) is None
    late = due_transition(held, rule, noticed + AUTO_GRACE)
    assert late is not None
    assert (late.to, late.lock, late.at) == (State.EXPIRED, Lock.LOCKED, noticed + AUTO_GRACE)
    mended = due_transition(held, terms(included=YEAR_FREE), noticed + 2 * HOUR)
    assert mended is not None
    assert mended.to is State.ACTIVE


def test_a12_renewal_before_the_trial_ends_is_refused_unless_the_switch_is_on() -> None:
    for state in (State.PENDING, State.TRIAL):
        off = renewal_refusal(facts(state), terms(), months=12, now=T0)
        on = renewal_refusal(facts(state), terms(early_renewal=True), months=12, now=T0)
        assert (off, on) == (RenewalRefusal.TRIAL_NOT_OVER, None)


@pytest.mark.parametrize("state", [State.PENDING, State.TRIAL])
def test_a13_paying_early_starts_at_payment_and_ends_the_trial_without_a_command(state: State) -> None:
    paid = renewal(facts(state), terms(early_renewal=True), paid_at=T0, months=1, now=T0)
    assert (paid.starts_at, paid.ends_trial, paid.unlocks) == (T0, True, False)


def test_a14_ends_are_counted_from_the_anchor_31_january_28_february_31_march() -> None:
    state, ends = active(datetime(2026, 2, 28, 9, tzinfo=UTC), months=1), []
    for _ in range(3):
        paid = renewal(state, terms(time_zone="UTC"), paid_at=T0, months=1, now=T0)
        ends.append(paid.ends_at)
        state = state._replace(ends_at=paid.ends_at, anchor=paid.anchor, anchor_months=paid.anchor_months)
    assert [(end.month, end.day) for end in ends] == [(3, 31), (4, 30), (5, 31)]


def test_a15_one_year_and_one_year_are_two_years_without_a_command() -> None:
    paid = renewal(active(datetime(2027, 1, 31, 9, tzinfo=UTC)), terms(), paid_at=T0 + HOUR, months=12, now=T0 + HOUR)
    assert paid.starts_at == datetime(2027, 1, 31, 9, tzinfo=UTC)
    assert paid.ends_at == datetime(2028, 1, 31, 9, tzinfo=UTC)
    assert not paid.unlocks


def test_a15_nothing_is_sold_beyond_thirty_years() -> None:
    far = active(T0.replace(year=2055), months=29 * 12)
    assert renewal_refusal(far, terms(), months=12, now=T0) is None
    assert renewal_refusal(far, terms(), months=24, now=T0) is RenewalRefusal.TOO_FAR
    with pytest.raises(RenewalNotAllowed):
        renewal(far, terms(), paid_at=T0, months=24, now=T0)


def test_a16_a_renewal_after_expiry_starts_at_payment_and_unlocks() -> None:
    gone = facts(State.EXPIRED, anchor=T0, anchor_months=12, ends_at=T0)
    paid = renewal(gone, terms(), paid_at=T0 + HOUR, months=12, now=T0 + HOUR)
    assert (paid.starts_at, paid.unlocks) == (T0 + HOUR, True)


def test_a16_a_payment_before_the_end_extends_even_when_we_learn_of_it_after() -> None:
    gone = facts(State.EXPIRED, anchor=T0 - 365 * 24 * HOUR, anchor_months=12, ends_at=T0)
    paid = renewal(gone, terms(), paid_at=T0 - MINUTE, months=12, now=T0 + 2 * HOUR)
    assert (paid.starts_at, paid.unlocks) == (T0, True)


def test_a17_expiry_is_dated_by_the_end_not_by_the_sweep() -> None:
    step = due_transition(active(T0), terms(), T0 + 500 * HOUR)
    assert step is not None
    assert (step.to, step.at, step.lock) == (State.EXPIRED, T0, Lock.LOCKED)
    assert due_transition(active(T0), terms(), T0 - timedelta(microseconds=1)) is None


def test_e4_a_terminated_device_is_refused_even_after_payment() -> None:
    assert renewal_refusal(facts(State.TERMINATED), terms(), months=1, now=T0) is RenewalRefusal.TERMINATED
    with pytest.raises(RenewalNotAllowed):
        renewal(facts(State.TERMINATED), terms(), paid_at=T0, months=1, now=T0)


def test_e4_paid_mode_off_sells_nothing() -> None:
    assert renewal_refusal(active(T0), terms(paid_mode=False), months=1, now=T0) is RenewalRefusal.PAID_MODE_OFF


@given(
    start=st.integers(0, 10**6),
    length=st.integers(1, 10**6),
    online=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=6),
    looks=st.lists(st.integers(0, 10**8), min_size=1, max_size=6),
)
def test_p7_however_often_and_late_the_sweep_looks_the_dates_are_the_same(
    start: int, length: int, online: list[tuple[int, int]], looks: list[int]
) -> None:
    """Online stretches as (gap, length) in seconds; `looks` are the moments of sweeps after the last one closed."""
    closed, at = [], T0
    for gap, lasted in online:
        began = at + timedelta(seconds=gap)
        at = began + timedelta(seconds=lasted)
        closed.append((began, at))
    counted = sum(lasted for _, lasted in online) * US
    rule = terms(trial_start=start, trial_end=start + length)
    state = facts(counted=counted, closed=tuple(closed))
    once = live(state, rule, at + timedelta(seconds=max(looks)))[1]
    often: list[tuple[State, datetime]] = []
    for look in sorted(looks):
        state, moves = live(state, rule, at + timedelta(seconds=look))
        often += moves
    assert often == once
    assert [moment for _, moment in once] == sorted(moment for _, moment in once)


@given(st.lists(st.tuples(st.integers(0, 800), st.sampled_from([1, 2, 12, 24])), min_size=1, max_size=8))
def test_periods_never_overlap_and_never_shrink(payments: list[tuple[int, int]]) -> None:
    """Payments as (days after T0, months): each period begins at or after the end before it (A15, A16)."""
    state, end = facts(State.EXPIRED), None
    for days, months in sorted(payments):
        now = T0 + timedelta(days=days)
        state = live(state, terms(), now)[0]
        paid = renewal(state, terms(), paid_at=now, months=months, now=now)
        assert end is None or paid.starts_at >= end
        assert paid.ends_at > paid.starts_at
        end = paid.ends_at
        state = state._replace(
            state=State.ACTIVE, ends_at=end, anchor=paid.anchor, anchor_months=paid.anchor_months, auto_spent=True
        )
