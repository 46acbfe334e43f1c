"""When a device's online time reaches a threshold (A2, A3, P7; F63)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.online_time import (
    PresenceState,
    crossed_at,
    crossing,
    online_seconds,
    online_time,
    union_length,
)
from tests.rules.sessions import SECOND, Device, at, events_of, off, on, serial_sessions


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
