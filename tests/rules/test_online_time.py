"""Presence and cumulative online time (P1–P7, A2, A3; F60–F63)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.online_time import (
    Interval,
    Kind,
    PresenceEvent,
    PresenceState,
    Refusal,
    Step,
    admit,
    apply,
    apply_late,
    close_at_broker_death,
    close_for_silence,
    crossed_at,
    crossing,
    online_seconds,
    online_time,
    refusal,
    silence_deadline,
    union,
    union_length,
)

DAY = datetime(2025, 3, 3, tzinfo=UTC)
SECOND = 1_000_000


def at(seconds: float) -> datetime:
    return DAY + timedelta(seconds=seconds)


def hour(clock: float) -> datetime:
    return at(clock * 3600)


def on(session, seconds, keepalive=None) -> PresenceEvent:
    return PresenceEvent(Kind.ONLINE, session, at(seconds), keepalive)


def off(session, seconds) -> PresenceEvent:
    return PresenceEvent(Kind.OFFLINE, session, at(seconds))


def uplink(seconds) -> PresenceEvent:
    return PresenceEvent(Kind.UPLINK, None, at(seconds))


class Device:
    """A device as a service keeps it: the state, and the closed sessions as rows."""

    def __init__(self) -> None:
        self.state = PresenceState()
        self.rows: list[Interval] = []

    def take(self, *events: PresenceEvent) -> "Device":
        for event in events:
            step = apply(self.state, event)
            if step.late:
                fixed = apply_late(self.state, event, self.rows)
                self.rows = [row for row in self.rows if row not in fixed.removed] + list(fixed.added)
                self.state = fixed.state
            else:
                self.keep(step)
        return self

    def keep(self, step: Step) -> "Device":
        self.state = step.state
        self.rows.extend(step.closed)
        return self

    def seconds(self, now: float) -> int:
        return online_seconds(self.state, at(now))


def test_the_seeds_two_sessions_are_five_hours():
    """P1: 09:00–11:00 and 14:00–17:00."""
    device = Device().take(
        PresenceEvent(Kind.ONLINE, "1", hour(9)),
        PresenceEvent(Kind.OFFLINE, "1", hour(11)),
        PresenceEvent(Kind.ONLINE, "2", hour(14)),
        PresenceEvent(Kind.OFFLINE, "2", hour(17)),
    )
    assert online_time(device.state, hour(24)) == 5 * 3600 * SECOND
    assert device.rows == [Interval("1", hour(9), hour(11)), Interval("2", hour(14), hour(17))]
    assert union_length(device.rows) == 5 * 3600 * SECOND


def test_an_open_session_counts_up_to_now():
    """A2: evaluated while the device is online."""
    device = Device().take(on("1", 0))
    assert [device.seconds(now) for now in (-5, 0, 1.5, 300)] == [0, 0, 1, 300]


# --- P3, F60, F62: which disconnect closes what -----------------------------------------------------------------------


def test_a_disconnect_closes_its_own_session_only():
    """P3."""
    device = Device().take(on("1", 0), off("0", 50))
    assert device.state.online
    assert device.seconds(100) == 100


def test_a_disconnect_after_a_newer_connect_never_makes_the_device_offline():
    """P3: the old session's last will comes after the new connect."""
    device = Device().take(on("1", 0), on("2", 60), off("1", 61))
    assert device.state.online
    assert device.state.session == "2"
    assert device.seconds(100) == 100


def test_a_take_over_closes_the_old_session_and_not_the_device():
    """P3, F62."""
    device = Device().take(on("1", 0), on("2", 60))
    assert device.rows == [Interval("1", at(0), at(60))]
    assert device.state.open_since == at(0)
    assert device.state.session_started_at == at(60)
    assert device.take(off("2", 90)).seconds(500) == 90


def test_a_late_disconnect_of_a_displaced_session_puts_the_break_in():
    """P6, F60: 1 was gone from 20 on, which became known after 2 had connected."""
    device = Device().take(on("1", 0), on("2", 60), off("1", 20))
    assert device.state.online
    assert device.state.open_since == at(60)
    assert device.seconds(100) == 60
    assert device.rows == [Interval("1", at(0), at(20))]


def test_a_late_disconnect_reaches_a_session_three_take_overs_ago():
    device = Device().take(on("1", 0), on("2", 60), on("3", 120), on("4", 180), off("1", 20))
    assert device.seconds(200) == 20 + 140


def test_a_disconnect_that_overtakes_its_connect_opens_nothing():
    """F60: end without start; the start comes later and is taken up."""
    device = Device().take(off("1", 50))
    assert not device.state.online
    assert device.seconds(99) == 0
    device.take(on("1", 10))
    assert not device.state.online
    assert device.seconds(99) == 40


def test_a_late_connect_waits_for_its_disconnect_and_counts_nothing_before():
    """P1: under-count when in doubt."""
    device = Device().take(on("2", 100), off("2", 130), on("1", 0))
    assert not device.state.online
    assert device.seconds(999) == 30
    assert device.take(off("1", 40)).seconds(999) == 70


def test_the_same_session_name_may_be_used_again_after_a_reboot():
    """P2: a device that counts its sessions from 1 at every boot isn't locked out."""
    device = Device().take(on("1", 0), off("1", 10), on("1", 20), off("1", 30))
    assert device.seconds(99) == 20


def test_an_announcement_of_the_open_session_changes_neither_start_nor_total():
    device = Device().take(on("1", 0), on("1", 30, keepalive=60))
    assert device.state.session_started_at == at(0)
    assert device.state.keepalive == 60
    assert device.take(off("1", 40)).seconds(99) == 40


def test_messages_without_any_session_still_count():
    device = Device().take(on(None, 0), off(None, 10), on("", 20), off("", 50))
    assert device.seconds(99) == 40


def test_two_events_at_one_moment_of_two_sessions_leave_the_device_online():
    """Brokers stamp in milliseconds: the old session's end and the new one's start may be equal."""
    for events in ([off("1", 10), on("2", 10)], [on("2", 10), off("1", 10)]):
        device = Device().take(on("1", 0), *events)
        assert device.state.online
        assert device.seconds(20) == 20


# --- uplinks ----------------------------------------------------------------------------------------------------------


def test_an_uplink_without_a_session_opens_one():
    device = Device().take(uplink(5))
    assert device.state.online
    assert device.state.session is None
    assert device.take(off("1", 25)).seconds(99) == 20


def test_an_uplink_from_before_the_disconnect_opens_nothing():
    device = Device().take(on("1", 0), off("1", 20), uplink(19))
    assert not device.state.online
    assert device.state.last_seen_at == at(19)


def test_an_uplink_moves_last_seen_forward_only():
    device = Device().take(on("1", 0), uplink(20), uplink(10))
    assert device.state.last_seen_at == at(20)


def test_a_connect_takes_the_session_over_that_an_uplink_opened():
    device = Device().take(uplink(5), on("7", 15), off("7", 25))
    assert device.seconds(99) == 20


# --- P2: duplicates, any order ----------------------------------------------------------------------------------------


EIGHTHS = st.integers(0, 7)


@st.composite
def serial_sessions(draw):
    """Sessions one after another, each with a name of its own, and moments inside them at which the device reports."""
    cuts = draw(st.lists(st.integers(1, 10**9), min_size=2, max_size=16, unique=True).map(sorted))
    moments = [DAY + timedelta(microseconds=cut) for cut in cuts[: len(cuts) // 2 * 2]]
    return [Interval(str(n), moments[n], moments[n + 1]) for n in range(0, len(moments), 2)]


def events_of(sessions) -> list[PresenceEvent]:
    return [
        PresenceEvent(kind, part.session, moment)
        for part in sessions
        for kind, moment in ((Kind.ONLINE, part.started_at), (Kind.OFFLINE, part.ended_at))
    ]


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
    assert online_seconds(state, at(99)) == 70
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


moments = st.integers(0, 1000)
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
def test_the_rows_of_one_device_are_told_apart_by_session_and_start(events):
    rows = Device().take(*events).rows
    assert len({(row.session, row.started_at) for row in rows}) == len(rows)


@given(st.lists(any_event, max_size=25))
def test_time_never_runs_backwards_while_no_event_arrives(events):
    state = Device().take(*events).state
    totals = [online_time(state, at(now)) for now in (0, 10, 1000, 2000)]
    assert totals == sorted(totals)


# --- P4: silence, broker death ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keepalive", "heartbeat", "deadline", "ends"),
    [
        (60, 30, 90, 90),  # 1.5 x keepalive is longer
        (60, 600, 600, 90),  # the heartbeat is longer: noticed later, closed where the keepalive ran out
        (None, 100, 150, 150),  # no keepalive told: the heartbeat stands for it
        (0, 100, 150, 150),  # 0 means that MQTT's keepalive is off
        (61, 10, 91.5, 91.5),
    ],
)
def test_silence_closes_the_session_at_one_and_a_half_keepalives(keepalive, heartbeat, deadline, ends):
    """P4."""
    device = Device().take(on("1", 0, keepalive), uplink(1000))
    assert silence_deadline(device.state, heartbeat) == at(1000 + deadline)
    early = close_for_silence(device.state, heartbeat, at(1000 + deadline) - timedelta(microseconds=1))
    assert early == Step(device.state)
    device.keep(close_for_silence(device.state, heartbeat, at(1000 + deadline)))
    assert device.rows == [Interval("1", at(0), at(1000 + ends), estimated=True)]
    assert not device.state.online
    assert online_time(device.state, at(9999)) == (1000 + ends) * SECOND


@pytest.mark.parametrize("heartbeat", [None, 0])
def test_silence_closes_nothing_on_products_without_a_heartbeat(heartbeat):
    """P4: the default."""
    state = Device().take(on("1", 0, 60)).state
    assert silence_deadline(state, heartbeat) is None
    assert close_for_silence(state, heartbeat, at(10**6)) == Step(state)


def test_an_offline_device_has_no_silence_deadline():
    assert silence_deadline(Device().take(on("1", 0), off("1", 5)).state, 60) is None


def test_the_true_end_replaces_an_estimated_one():
    """P4, P6: the last will decides; the number may go up or down."""
    for end in (40, 140):
        device = Device().take(on("1", 0, 60))
        device.keep(close_for_silence(device.state, 30, at(200)))
        assert device.seconds(999) == 90
        device.take(off("1", end))
        assert device.rows == [Interval("1", at(0), at(end))]
        assert device.seconds(999) == end


def test_a_device_that_speaks_after_silence_is_online_again():
    device = Device().take(on("1", 0, 60))
    device.keep(close_for_silence(device.state, 30, at(200))).take(uplink(300))
    assert device.state.online
    assert device.seconds(310) == 90 + 10


def test_a_broker_restart_closes_sessions_at_the_last_moment_it_was_alive():
    """P4."""
    device = Device().take(on("1", 0))
    device.keep(close_at_broker_death(device.state, at(50)))
    assert device.rows == [Interval("1", at(0), at(50), estimated=True)]
    assert device.take(on("2", 80), off("2", 90)).seconds(999) == 60


def test_an_uplink_proves_the_broker_alive():
    device = Device().take(on("1", 0), uplink(55))
    assert close_at_broker_death(device.state, at(50)).closed[0].ended_at == at(55)


def test_a_session_from_after_the_restart_stays_open():
    state = Device().take(on("1", 60)).state
    assert close_at_broker_death(state, at(50)) == Step(state)
    assert close_at_broker_death(PresenceState(), at(50)) == Step(PresenceState())


# --- P5: stamps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, microseconds=1), Refusal.TOO_FAR_AHEAD),
        (timedelta(days=-7), None),
        (timedelta(days=-7, microseconds=-1), Refusal.TOO_LATE),
        (timedelta(days=-3650), Refusal.TOO_LATE),
        (timedelta(days=3650), Refusal.TOO_FAR_AHEAD),
        (timedelta(0), None),
    ],
)
def test_stamps_too_far_from_now_are_refused(stamp, expected):
    """P5, F61."""
    event = PresenceEvent(Kind.ONLINE, "1", DAY + stamp)
    assert refusal(event, DAY) == expected
    assert (admit(event, DAY) is None) == (expected is not None)


def test_a_stamp_ahead_counts_as_now():
    """P1: no device is online in the future."""
    event = admit(PresenceEvent(Kind.OFFLINE, "1", at(200)), at(100))
    assert event == off("1", 100)


# --- A2, A3, P7: crossings --------------------------------------------------------------------------------------------


def test_the_crossing_of_an_online_device_lies_ahead_and_is_exact():
    """A2, F63: 5 and 10 minutes of online time."""
    device = Device().take(on("1", 0), off("1", 200), on("2", 1000))
    assert crossing(device.state, 300) == at(1100)
    assert crossing(device.state, 600) == at(1400)
    assert online_seconds(device.state, at(1100)) == 300
    assert online_time(device.state, at(1100) - timedelta(microseconds=1)) < 300 * SECOND


def test_an_offline_device_short_of_the_threshold_crosses_nothing():
    assert crossing(Device().take(on("1", 0), off("1", 200)).state, 300) is None
    assert crossing(PresenceState(), 0) is None


def test_threshold_zero_is_crossed_at_the_first_connect():
    """A3."""
    device = Device().take(on("1", 77))
    assert crossing(device.state, 0) == at(77)
    assert crossed_at(device.rows, device.state.open_since, 0) == at(77)
    device.take(off("1", 99))
    assert crossed_at(device.rows, None, 0) == at(77)


def test_a_threshold_reached_in_a_closed_session_is_found_inside_it():
    """P7: a late worker writes the same date."""
    device = Device().take(on("1", 0), off("1", 200), on("2", 1000), off("2", 5000))
    with pytest.raises(LookupError, match="crossed_at"):
        crossing(device.state, 300)
    assert crossed_at(device.rows, None, 300) == at(1100)
    assert crossed_at(device.rows, None, 200) == at(200)
    assert crossed_at(device.rows, None, 4200) == at(5000)
    assert crossed_at(device.rows, None, 4201) is None
    assert crossed_at([], None, 0) is None


@given(serial_sessions(), st.integers(0, 1200))
def test_before_the_crossing_the_threshold_is_not_reached_and_at_it_it_is(sessions, threshold):
    """P7."""
    moment = crossed_at(sessions, None, threshold)
    if moment is None:
        assert union_length(sessions) < threshold * SECOND
    else:
        assert union_length(sessions, moment) == threshold * SECOND


@given(serial_sessions(), st.integers(1, 900))
def test_the_moment_foreseen_is_the_moment_found_afterwards(sessions, threshold):
    """P7: whether the worker looks ahead or looks back."""
    device = Device()
    for event in events_of(sessions):
        before = device.state
        device.take(event)
        if before.counted < threshold * SECOND <= device.state.counted:
            assert crossing(before, threshold) == crossed_at(device.rows, None, threshold)


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
