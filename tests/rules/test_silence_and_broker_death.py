"""Sessions that end without a disconnect: silence, and the death of the broker (P4, P6)."""

from datetime import timedelta

import pytest

from devices.online_time import (
    Interval,
    PresenceState,
    Step,
    close_at_broker_death,
    close_for_silence,
    silence_deadline,
)
from tests.rules.sessions import SECOND, Device, at, off, on, online_time, uplink


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
