"""Sessions that no message ends: silence, a moved test clock, a dead broker (P4, R8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from amp.foundation.models import TestClock
from amp.foundation.scoping import system_scope
from devices.invariants import violations
from devices.models import PresenceSession
from devices.services import session_ends
from devices.services.session_ends import close_sessions_of_dead_broker, close_silent_sessions
from tests.talking_devices import at, make_fleet, tell

pytestmark = pytest.mark.django_db
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_silence_closes_only_where_devices_promise_a_heartbeat_P4():
    quiet = make_fleet(name="Quiet")
    beating = make_fleet(name="Beating", heartbeat_seconds=60)
    for fleet in (quiet, beating):
        tell(fleet.online("d1", at("09:00"), 1, keepalive=100), fleet.report("d1", at("09:10")))
    assert close_silent_sessions(now=at("09:12:29")) == 0
    assert close_silent_sessions(now=at("09:12:30")) == 1
    assert close_silent_sessions(now=at("12:00")) == 0
    assert quiet.presence().is_online
    [session] = beating.sessions()
    assert (session.ended_at, session.estimated) == (at("09:12:30"), True)
    assert not beating.presence().is_online


def test_silence_is_counted_anew_after_a_move_of_the_test_clock_P4():
    fleet = make_fleet(heartbeat_seconds=60)
    tell(fleet.online("d1", at("09:00"), 1))
    TestClock.objects.create(id=1, shift=timedelta(hours=2), moved_at=at("09:00:10"))
    assert close_silent_sessions(now=at("11:01:00")) == 0
    assert close_silent_sessions(now=at("11:01:40")) == 1
    assert fleet.sessions()[0].ended_at == at("11:01:40")


def test_after_a_move_of_the_test_clock_back_what_lies_ahead_has_not_happened_R8():
    """A device that spoke in the time that was taken back is heard again at once, and counts no time to come."""
    fleet = make_fleet(2, trial_start_seconds=3600, trial_end_seconds=36_000)
    tell(fleet.online("d1", at("09:00"), 1), fleet.offline("d1", at("10:00"), 1))
    ahead = timedelta(days=30)
    tell(fleet.online("d1", at("09:00") + ahead, 2), fleet.offline("d1", at("19:00") + ahead, 2))
    tell(fleet.online("d1", at("20:00") + ahead, 3), fleet.online("d2", at("20:00") + ahead, 1))
    tell(fleet.online("d1", at("12:00"), 4), fleet.report("d2", at("12:00")))
    assert (fleet.presence().is_online, fleet.presence().open_since, fleet.hours()) == (True, at("12:00"), 1)
    assert fleet.presence("d2").open_since == at("12:00")
    assert [row.ended_at for row in fleet.sessions()] == [at("10:00")]
    tell(fleet.offline("d1", at("13:00"), 4))
    assert (fleet.presence().is_online, fleet.hours()) == (False, 2)
    assert [found for found in violations(now=at("13:00")) if "online_time" in found.name] == []


def test_a_session_that_was_open_when_the_clock_was_moved_back_counts_up_to_then_R8():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    tell(fleet.online("d1", at("20:00"), 2))
    tell(fleet.report("d1", at("12:00")))
    assert (fleet.presence().open_since, fleet.hours()) == (at("12:00"), 3)
    assert close_sessions_of_dead_broker(alive_at=at("20:00"), now=at("12:30")) == 1
    assert fleet.hours() == 3.5


def test_sessions_of_a_dead_broker_close_when_it_was_last_alive_P4():
    fleet = make_fleet(3, trial_start_seconds=0, trial_end_seconds=7200)
    tell(fleet.online("d1", at("09:00"), 1), fleet.online("d2", at("09:00"), 1))
    tell(fleet.report("d2", at("10:00:03")))
    tell(fleet.online("d3", at("10:05"), 1))
    assert close_sessions_of_dead_broker(alive_at=at("10:00"), now=at("10:06")) == 2
    assert [fleet.sessions(key)[0].ended_at for key in ("d1", "d2")] == [at("10:00"), at("10:00:03")]
    assert all(fleet.sessions(key)[0].estimated for key in ("d1", "d2"))
    assert fleet.presence("d3").is_online
    tell(fleet.online("d1", at("10:06"), 2), fleet.offline("d1", at("11:06"), 2))
    assert fleet.hours("d1") == 2


def test_closing_walks_through_any_number_of_sessions(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_ends, "CHUNK", 2)
    fleet = make_fleet(5)
    tell(*(fleet.online(key, at("09:00")) for key in fleet.ids))
    assert close_sessions_of_dead_broker(alive_at=at("10:00"), now=at("11:00")) == 5
    assert PresenceSession.objects.filter(ended_at=at("10:00")).count() == 5
