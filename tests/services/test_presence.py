"""Presence in PostgreSQL, told by messages as devices send them (P1–P7, A2, A24)."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from amp.foundation.scoping import system_scope
from devices.lifecycle import State
from devices.models import DeviceService, PresenceSession
from devices.services import locating, presence, uplinks
from devices.services.uplinks import apply_batch
from tests.talking_devices import Fleet, at, make_fleet, record, tell

pytestmark = pytest.mark.django_db
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def the_seed(fleet: Fleet):
    return [
        fleet.online("d1", at("09:00"), 1),
        fleet.offline("d1", at("11:00"), 1),
        fleet.online("d1", at("14:00"), 2),
        fleet.offline("d1", at("17:00"), 2),
    ]


def test_nine_to_eleven_and_two_to_five_are_five_hours_P1():
    fleet = make_fleet()
    for message in the_seed(fleet):
        tell(message)
    assert fleet.hours() == 5
    assert not fleet.presence().is_online
    assert [(row.started_at, row.ended_at, row.estimated) for row in fleet.sessions()] == [
        (at("09:00"), at("11:00"), False),
        (at("14:00"), at("17:00"), False),
    ]


def test_the_order_of_arrival_changes_nothing_P5_P6():
    """All 24 orders, one message to a batch and all in one batch."""
    for number, order in enumerate(itertools.permutations(range(4))):
        fleet = make_fleet(name=f"Acme {number}")
        messages = the_seed(fleet)
        for index in order:
            tell(messages[index], now=at("17:00"))
        assert (fleet.hours(), fleet.presence().is_online) == (5, False), order
        other = make_fleet(name=f"Other {number}")
        messages = the_seed(other)
        tell(*(messages[index] for index in order))
        assert (other.hours(), other.presence().is_online) == (5, False), order


def test_messages_told_twice_count_once_P2():
    fleet = make_fleet()
    tell(*the_seed(fleet), *the_seed(fleet))
    for message in the_seed(fleet):
        tell(message, now=at("18:00"))
    assert fleet.hours() == 5
    assert len(fleet.sessions()) == 2


def test_messages_delivered_again_after_a_crash_open_nothing_P2():
    """The broker sends again what was not acknowledged; it is stamped anew when it arrives."""
    fleet = make_fleet()
    tell(*the_seed(fleet))
    later = [
        message._replace(at=at("18:00") + timedelta(minutes=n), again=True) for n, message in enumerate(the_seed(fleet))
    ]
    tell(*later, fleet.report("d1", at("18:05"), again=True))
    assert (fleet.hours(), fleet.presence().is_online) == (5, False)
    # Not marked, the same messages are a device that reuses its session names: that counts, so the mark protects.
    tell(*(message._replace(again=False) for message in later), now=at("18:05"))
    assert fleet.hours() > 5


def test_a_disconnect_closes_its_own_session_only_P3():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    tell(fleet.online("d1", at("10:00"), 2))
    tell(fleet.offline("d1", at("10:00:01"), 1))
    assert fleet.presence().is_online
    tell(fleet.offline("d1", at("12:00"), 2))
    assert (fleet.hours(), fleet.presence().is_online) == (3, False)


def test_a_late_disconnect_puts_the_break_in_P6():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    tell(fleet.online("d1", at("12:00"), 2))
    tell(fleet.offline("d1", at("13:00"), 2))
    assert fleet.hours() == 4
    tell(fleet.offline("d1", at("10:00"), 1), now=at("13:00"))
    assert fleet.hours() == 2
    assert [(row.session, row.ended_at) for row in fleet.sessions()] == [("1", at("10:00")), ("2", at("13:00"))]


def test_overlapping_sessions_count_once_P1():
    """F62."""
    fleet = make_fleet()
    tell(
        fleet.online("d1", at("09:00"), 1),
        fleet.online("d1", at("10:00"), 2),
        fleet.offline("d1", at("11:00"), 1),
        fleet.offline("d1", at("12:00"), 2),
    )
    assert fleet.hours() == 3


def test_an_uplink_without_a_session_opens_one():
    fleet = make_fleet()
    tell(fleet.report("d1", at("09:00")))
    assert fleet.presence().is_online
    tell(fleet.offline("d1", at("10:00"), 7))
    assert (fleet.hours(), fleet.presence().is_online) == (1, False)


def test_a_goodbye_that_is_repeated_counts_no_hour_twice_P1():
    """An uplink came before the connect that it follows, so the session has no name when its goodbye comes; the repeat
    then ends the session that the late connect left open, from its beginning on."""
    fleet = make_fleet()
    tell(fleet.report("d1", at("09:00:02")))
    tell(fleet.online("d1", at("09:00"), 1), now=at("09:01"))
    tell(fleet.offline("d1", at("10:00"), 1))
    tell(fleet.offline("d1", at("10:00:15"), 1))
    assert fleet.presence().counted == 3_615 * 1_000_000


def test_retained_online_at_subscribe_does_not_count_P4():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1, retained=True))
    tell(fleet.report("d1", at("09:00"), retained=True))
    assert not fleet.presence().is_online
    assert fleet.presence().last_seen_at is None


def test_retained_offline_ends_the_session_at_the_last_sign_of_life_P4():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1), fleet.report("d1", at("10:00")))
    tell(fleet.offline("d1", at("15:00"), 2, retained=True))
    assert fleet.presence().is_online
    tell(fleet.offline("d1", at("15:00"), 1, retained=True))
    assert (fleet.hours(), fleet.presence().is_online) == (1, False)


def test_events_too_far_ahead_or_too_late_are_refused_and_counted_P5():
    fleet = make_fleet()
    now = at("12:00")
    applied = tell(
        fleet.online("d1", now + timedelta(minutes=5, seconds=1), 1),
        fleet.online("d1", now - timedelta(days=7, seconds=1), 2),
        now=now,
    )
    assert applied.dropped == {"too_far_ahead": 1, "too_late": 1}
    assert not fleet.presence().is_online
    tell(fleet.online("d1", now + timedelta(minutes=4), 1), now=now)
    assert fleet.presence().session_started_at == now


def test_expired_devices_still_show_online_and_last_seen_A24():
    fleet = make_fleet()
    DeviceService.objects.update(state=State.EXPIRED.value)
    tell(fleet.online("d1", at("09:00"), 1), fleet.report("d1", at("09:30")))
    assert fleet.presence().is_online
    assert fleet.presence().last_seen_at == at("09:30")


def test_the_trial_start_is_due_while_the_device_stays_online_A2():
    fleet = make_fleet(trial_start_seconds=300, trial_end_seconds=600)
    tell(fleet.online("d1", at("09:00"), 1))
    assert fleet.service().due_at == at("09:05")
    tell(fleet.offline("d1", at("09:02"), 1))
    assert fleet.service().due_at is None
    tell(fleet.online("d1", at("10:00"), 2))
    assert fleet.service().due_at == at("10:03")


def test_a_threshold_passed_inside_a_closed_session_is_due_at_once_P7():
    fleet = make_fleet(trial_start_seconds=300, trial_end_seconds=600)
    tell(fleet.online("d1", at("09:00"), 1), fleet.offline("d1", at("09:30"), 1))
    assert fleet.service().due_at <= at("09:05")


def test_online_time_schedules_nothing_where_paid_mode_is_off_A1():
    fleet = make_fleet(with_rule=False)
    tell(fleet.online("d1", at("09:00"), 1))
    assert fleet.presence().is_online
    assert fleet.service().due_at is None


def test_a_held_trial_keeps_its_own_moment_A11():
    fleet = make_fleet(trial_start_seconds=0, trial_end_seconds=600)
    DeviceService.objects.update(
        state=State.TRIAL.value, trial_end_seconds=600, auto_failed_at=at("08:00"), due_at=at("23:00")
    )
    tell(fleet.online("d1", at("09:00"), 1), fleet.offline("d1", at("10:00"), 1))
    assert fleet.service().due_at == at("23:00")


@pytest.mark.parametrize("size", [1, 40, 600])
def test_a_batch_costs_a_fixed_number_of_statements(size: int):
    """Presence itself: lock, write, sessions, read trials, write trials; and one query finds the devices."""
    fleet = make_fleet(size, trial_start_seconds=300, trial_end_seconds=600)
    tell(*(fleet.online(key, at("09:00")) for key in fleet.ids))
    events = [
        presence.Heard(pk, presence.PresenceEvent(kind, session, moment))
        for pk in fleet.ids.values()
        for kind, session, moment in [
            (presence.Kind.OFFLINE, "1", at("09:04")),
            (presence.Kind.ONLINE, "2", at("09:10")),
            (presence.Kind.UPLINK, None, at("09:11")),
        ]
    ]
    with CaptureQueriesContext(connection) as queries:
        record(events, now=at("09:11"))
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 5, "\n".join(statement[:120] for statement in statements)
    assert fleet.service().due_at == at("09:11")
    assert PresenceSession.objects.count() == size


def test_late_events_cost_two_more_statements():
    fleet = make_fleet(50, trial_start_seconds=300, trial_end_seconds=600)
    tell(*(fleet.online(key, at("09:00"), 1) for key in fleet.ids))
    tell(*(fleet.online(key, at("12:00"), 2) for key in fleet.ids))
    events = [
        presence.Heard(pk, presence.PresenceEvent(presence.Kind.OFFLINE, "1", at("10:00"))) for pk in fleet.ids.values()
    ]
    with CaptureQueriesContext(connection) as queries:
        record(events, now=at("12:00"))
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 7
    assert {row.counted for row in [fleet.presence(key) for key in fleet.ids]} == {HOUR}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locks", [True, False])
def test_two_bridges_that_tell_of_one_device_at_once_lose_nothing(locks: bool, monkeypatch: pytest.MonkeyPatch):
    """The row lock puts them in an order, any order (F23); with the lock taken away online time is wrong."""
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    both_have_read = threading.Barrier(2, timeout=1)
    read = uplinks.locate

    def read_and_wait(sources):
        devices = read(sources)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_read.wait()
        return devices

    monkeypatch.setattr(uplinks, "locate", read_and_wait)
    if not locks:
        unlocked = locating._POSTGRESQL.replace("FOR UPDATE OF presence", "")
        assert unlocked != locating._POSTGRESQL
        monkeypatch.setattr(locating, "_POSTGRESQL", unlocked)
    batches = [
        [fleet.offline("d1", at("10:00"), 1)],
        [fleet.online("d1", at("10:30"), 2), fleet.offline("d1", at("11:30"), 2)],
    ]
    threads = [threading.Thread(target=_tell_elsewhere, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (fleet.hours() == 2) is locks


def _tell_elsewhere(batch) -> None:
    """In a thread, on a connection of its own."""
    try:
        with system_scope():
            apply_batch(batch, now=at("11:30"))
    finally:
        connections.close_all()
