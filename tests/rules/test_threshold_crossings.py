"""When a device's online time reaches a threshold (A2, A3, P7; F63): presence folds it, the lifecycle finds it."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from devices.lifecycle import Facts, State, crossing
from devices.online_time import union, union_length
from tests.rules.sessions import DAY, SECOND, Device, at, events_of, off, on, online_time, serial_sessions


def facts(device: Device) -> Facts:
    """The device as the sweep sees it, its closed sessions at hand."""
    state = device.state
    return Facts(
        state=State.PENDING,
        life=1,
        counts_from=0,
        counted=state.counted,
        open_since=state.open_since,
        closed=union(device.rows, state.open_since),
        trial_end=None,
        auto_spent=False,
        auto_failed_at=None,
        anchor=None,
        anchor_months=0,
        ends_at=None,
        last_event_at=DAY,
    )


def test_the_crossing_of_an_online_device_lies_ahead_and_is_exact():
    """A2, F63: 5 and 10 minutes of online time."""
    device = Device().take(on("1", 0), off("1", 200), on("2", 1000))
    assert crossing(facts(device), 300) == at(1100)
    assert crossing(facts(device), 600) == at(1400)
    assert online_time(device.state, at(1100)) == 300 * SECOND
    assert online_time(device.state, at(1100) - timedelta(microseconds=1)) < 300 * SECOND


def test_an_offline_device_short_of_the_threshold_crosses_nothing():
    assert crossing(facts(Device().take(on("1", 0), off("1", 200))), 300) is None
    assert crossing(facts(Device()), 0) is None


def test_threshold_zero_is_crossed_at_the_first_connect():
    """A3."""
    device = Device().take(on("1", 77))
    assert crossing(facts(device), 0) == at(77)
    device.take(off("1", 99))
    assert crossing(facts(device), 0) == at(77)


def test_a_threshold_reached_in_a_closed_session_is_found_inside_it():
    """P7: a late worker writes the same date."""
    device = Device().take(on("1", 0), off("1", 200), on("2", 1000), off("2", 5000))
    assert crossing(facts(device), 300) == at(1100)
    assert crossing(facts(device), 200) == at(200)
    assert crossing(facts(device), 4200) == at(5000)
    assert crossing(facts(device), 4201) is None


@given(serial_sessions(), st.integers(1, 1200))
def test_before_the_crossing_the_threshold_is_not_reached_and_at_it_it_is(sessions, threshold):
    """P7."""
    moment = crossing(facts(Device().take(*events_of(sessions))), threshold)
    if moment is None:
        assert union_length(sessions) < threshold * SECOND
    else:
        assert union_length(sessions, moment) == threshold * SECOND


@given(serial_sessions(), st.integers(1, 900))
def test_the_moment_foreseen_is_the_moment_found_afterwards(sessions, threshold):
    """P7: whether the worker looks ahead or looks back."""
    device = Device()
    for event in events_of(sessions):
        before = facts(device)
        device.take(event)
        if before.counted < threshold * SECOND <= device.state.counted:
            assert crossing(before, threshold) == crossing(facts(device), threshold)
