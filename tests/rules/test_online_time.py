"""Presence and cumulative online time, event by event (P1–P3, P5, P6; F60–F62)."""

from datetime import timedelta

import pytest

from devices.online_time import (
    Interval,
    Kind,
    PresenceEvent,
    Refusal,
    admit,
    refusal,
    union_length,
)
from tests.rules.sessions import DAY, SECOND, Device, at, hour, off, on, online_time, uplink


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
