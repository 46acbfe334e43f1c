"""Online time is the union of the sessions, whatever the order and number of the events (P1, P2; F60, F62)."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from devices.online_time import (
    Interval,
    Kind,
    PresenceEvent,
    PresenceState,
    apply,
    union,
    union_length,
)
from tests.rules.sessions import (
    DAY,
    SECOND,
    Device,
    at,
    events_of,
    hour,
    moments,
    off,
    on,
    online_time,
    serial_sessions,
)

# --- any order and repetition -----------------------------------------------------------------------------------------


EIGHTHS = st.integers(0, 7)


@given(serial_sessions(), st.data())
def test_any_order_and_repetition_of_all_events_gives_exactly_the_union(sessions, data):
    """P1, P2, F60."""
    events = events_of(sessions)
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=10))
    device = Device().take(*data.draw(st.permutations(events + repeated)))
    assert not device.state.online
    assert online_time(device.state, hour(48)) == union_length(sessions) == union_length(device.rows)


@given(serial_sessions(), st.data())
def test_uplinks_and_lost_connects_never_add_to_the_union(sessions, data):
    """P1: under-count when in doubt."""
    reports = [
        PresenceEvent(Kind.UPLINK, None, part.started_at + (part.ended_at - part.started_at) * data.draw(EIGHTHS) // 8)
        for part in sessions
        for _ in range(data.draw(st.integers(0, 2)))
    ]
    kept = [event for event in events_of(sessions) if event.kind is Kind.OFFLINE or data.draw(st.booleans())]
    device = Device().take(*data.draw(st.permutations(kept + reports)))
    assert not device.state.online
    assert online_time(device.state, hour(48)) <= union_length(sessions)


def test_without_the_late_path_a_late_break_would_be_counted_as_online_time():
    """P6: the negative control of the property above."""
    state = PresenceState()
    for event in (on("1", 0), on("2", 60), off("1", 20), off("2", 70)):
        state = apply(state, event).state
    assert online_time(state, at(99)) // SECOND == 70
    assert Device().take(on("1", 0), on("2", 60), off("1", 20), off("2", 70)).seconds(99) == 30


@given(serial_sessions())
def test_repeating_every_event_at_once_changes_nothing(sessions):
    """P2."""
    once, twice = Device(), Device()
    for event in events_of(sessions):
        once.take(event)
        twice.take(event, event)
    assert once.state == twice.state
    assert once.rows == twice.rows


any_event = st.builds(
    PresenceEvent,
    kind=st.sampled_from(Kind),
    session=st.sampled_from(["1", "2", "3", "", None]),
    at=moments.map(at),
    keepalive=st.none() | st.integers(0, 100),
)


@given(st.lists(any_event, max_size=25))
def test_no_junk_makes_the_total_exceed_the_wall_time_or_breaks_the_state(events):
    """P1: online time ≤ wall time, whatever arrives; sessions may even share their names."""
    device = Device().take(*events)
    state = device.state
    assert 0 <= state.counted <= 1000 * SECOND
    assert 0 <= online_time(state, at(1000)) <= 1000 * SECOND
    assert state.online == (state.session_started_at is not None) == (state.open_since is not None)
    assert all(row.started_at <= row.ended_at for row in device.rows)
    assert state.counted == union_length(device.rows, state.open_since)


@given(st.lists(any_event, max_size=25))
def test_nothing_is_lost_where_rows_with_the_same_session_start_and_end_are_stored_once(events):
    """P1, P2: the table takes each such row once. Told apart by session and start alone, time that counts was lost."""
    rows = Device().take(*events).rows
    stored = {(row.session, row.started_at, row.ended_at): row for row in reversed(rows)}
    assert union_length(stored.values()) == union_length(rows)


def test_a_session_begins_anew_in_the_moment_of_one_that_ended_at_once():
    """Two rows of one name and start, of which the first is empty."""
    rows = Device().take(off("2", 0), off("1", 0), on("2", 0), off("2", 9)).rows
    assert [(row.ended_at - row.started_at).seconds for row in rows if row.session == "2"] == [0, 9]


@given(st.lists(any_event, max_size=25))
def test_time_never_runs_backwards_while_no_event_arrives(events):
    state = Device().take(*events).state
    totals = [online_time(state, at(now)) for now in (0, 10, 1000, 2000)]
    assert totals == sorted(totals)


# --- union ------------------------------------------------------------------------------------------------------------


spans = st.lists(st.tuples(moments, moments).map(lambda pair: Interval("s", at(min(pair)), at(max(pair)))), max_size=20)


@given(spans)
def test_the_union_is_the_number_of_seconds_covered(parts):
    """P1, against counting second by second."""
    covered = {
        second
        for part in parts
        for second in range(
            (part.started_at - DAY) // timedelta(seconds=1), (part.ended_at - DAY) // timedelta(seconds=1)
        )
    }
    assert union_length(parts) == len(covered) * SECOND
    total = sum((part.ended_at - part.started_at for part in parts), timedelta())
    assert union_length(parts) <= total / timedelta(microseconds=1)


@given(spans, moments)
def test_the_union_before_a_moment_and_after_it_add_up(parts, cut):
    rest = [part._replace(started_at=max(part.started_at, at(cut))) for part in parts if part.ended_at > at(cut)]
    assert union_length(parts, at(cut)) + union_length(rest) == union_length(parts)


def test_overlapping_sessions_count_once():
    """F62: the plain sum would be 30 seconds too much."""
    parts = [Interval("1", at(0), at(60)), Interval("2", at(30), at(90)), Interval("3", at(90), at(100))]
    assert union(parts) == [(at(0), at(100))]
    assert union_length(parts) == 100 * SECOND != sum((p.ended_at - p.started_at).seconds for p in parts) * SECOND
