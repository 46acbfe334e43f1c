"""EMQX reports who is online, over HTTP (P1–P5, A21, F23, F60, R8)."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock, wakeups
from amp.foundation.scoping import system_scope
from amp.foundation.services import testclock
from devices.models import Bridge, Command, Device
from devices.services.registration import terminate_device
from tests.services.emqx_calls import (
    HOUR,
    MINUTE,
    SECOND,
    ago,
    connected,
    disconnected,
    emqx_set_up,
    ms,
    name,
    post,
    proof,
    statements,
)
from tests.talking_devices import Fleet, lock_sent, make_fleet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures(emqx_set_up.__name__)]


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(2)


def test_a_session_counts_from_connect_to_disconnect_by_the_brokers_clock_P1_P5(fleet):
    began, ended = ago(3 * HOUR), ago(HOUR)
    assert post(connected(name(fleet), began)).status_code == 204
    presence = fleet.presence()
    assert (presence.is_online, presence.session, presence.open_since, presence.keepalive) == (
        True,
        str(ms(began)),
        began,
        60,
    )
    answer = post(disconnected(name(fleet), ended, since=began))
    assert (answer.status_code, answer.content) == (204, b"")
    assert fleet.hours() == 2
    assert [(row.session, row.started_at, row.ended_at, row.estimated) for row in fleet.sessions()] == [
        (str(ms(began)), began, ended, False)
    ]


@pytest.mark.parametrize("reason", ["takenover", "discarded"])
def test_a_take_over_never_makes_a_device_offline_P3(fleet, reason):
    """In whichever order both arrive; from 5.9 on the old end is later than the new beginning."""
    first, second = ago(3 * HOUR), ago(2 * HOUR)
    taken = disconnected(name(fleet), second + SECOND, since=first, reason=reason)
    for events in ([taken, connected(name(fleet), second)], [connected(name(fleet), second), taken], [taken]):
        post(connected(name(fleet), first))
        for event in events:
            assert post(event).status_code == 204
        assert fleet.presence().is_online
    assert fleet.presence().open_since == first
    post(disconnected(name(fleet), ago(HOUR), since=second))
    assert not fleet.presence().is_online
    assert fleet.hours() == 2


def test_a_disconnect_that_comes_after_a_newer_connect_leaves_the_device_online_P3(fleet):
    first, ended, second = ago(3 * HOUR), ago(2 * HOUR), ago(HOUR)
    post([connected(name(fleet), first), connected(name(fleet), second)])
    post(disconnected(name(fleet), ended, since=first))
    assert fleet.presence().is_online
    assert fleet.hours() == 1


def test_a_connect_that_was_lost_is_told_by_its_disconnect(fleet):
    """EMQX gives up on a report after a while; the end of a session names its beginning."""
    post(disconnected(name(fleet), ago(HOUR), since=ago(3 * HOUR)))
    assert fleet.hours() == 2
    assert not fleet.presence().is_online


def test_a_lost_connect_after_another_session_does_not_leave_the_device_online_for_ever_P3(fleet):
    first, second = ago(3 * HOUR), ago(2 * HOUR)
    post(connected(name(fleet), first))
    post(disconnected(name(fleet), second, since=first, reason="takenover"))
    post(disconnected(name(fleet), ago(HOUR), since=second))
    assert not fleet.presence().is_online
    assert fleet.hours() == 2


def test_a_report_that_is_repeated_changes_nothing_P2(fleet):
    """So a replay within the five minutes is harmless; byte for byte and headers included."""
    body = json.dumps(
        [connected(name(fleet), ago(3 * HOUR)), disconnected(name(fleet), ago(2 * HOUR), since=ago(3 * HOUR))]
    ).encode()
    headers = proof(body)
    for _ in range(3):
        assert post(body, headers).status_code == 204
        assert fleet.hours() == 1
        assert len(fleet.sessions()) == 1
        assert not fleet.presence().is_online


def test_a_session_older_than_seven_days_still_ends_now(fleet):
    """Its beginning was told in time and isn't refused with every end (P5)."""
    began = clock.wall() - timedelta(days=6, hours=23)
    began = began.replace(microsecond=0)
    post(connected(name(fleet), began))
    testclock.advance(timedelta(days=2), wall=clock.wall())
    clock.forget()
    try:
        assert post(disconnected(name(fleet), ago(SECOND), since=began)).status_code == 204
        assert not fleet.presence().is_online
        assert not Bridge.objects.get(name="emqx").dropped
    finally:
        testclock.reset(wall=clock.wall())
        clock.forget()


@pytest.mark.parametrize(("at", "reason"), [(-8 * 24 * HOUR, "too_late"), (10 * MINUTE, "too_far_ahead")])
def test_events_outside_their_window_are_refused_and_counted_P5(fleet, at, reason):
    assert post(connected(name(fleet), ago(-at))).status_code == 204
    assert not fleet.presence().is_online
    bridge = Bridge.objects.get(name="emqx")
    assert (bridge.received, bridge.dropped, bridge.last_dropped) == (1, 1, f"{reason} 1")


def test_unknown_and_foreign_clients_are_dropped_and_counted_beside_the_others(fleet):
    terminated = Device.objects.get(pk=fleet.ids["d2"])
    terminate_device(device=terminated, actor="ann", now=clock.now())
    odd = connected(name(fleet), ago(HOUR))
    events = [
        connected(name(fleet, "d2"), ago(HOUR)),
        connected(name(fleet, "nobody"), ago(HOUR)),
        {**odd, "clientid": "mqttx"},
        {**odd, "username": "platform", "clientid": "amp-bridge"},
        {**odd, "connected_at": None},
        "junk",
        odd,
    ]
    assert post(events).status_code == 204
    assert fleet.presence().is_online
    bridge = Bridge.objects.get(name="emqx")
    assert (bridge.received, bridge.dropped) == (7, 6)
    assert bridge.last_dropped == "client 2, not_an_object 1, session 1, unknown_device 2"
    assert not bridge.connected, "readiness counts bridges that listen, not this one"


def test_a_device_that_connects_is_sent_what_waits_for_it_A21(fleet, monkeypatch):
    command = lock_sent(fleet)
    Command.objects.filter(pk=command.pk).update(
        status="PENDING", sent_at=None, due_at=None, stale_at=clock.now() + HOUR
    )
    wake = Mock()
    monkeypatch.setattr(wakeups, "wake", wake)
    post(disconnected(name(fleet), ago(SECOND), since=ago(HOUR)))
    command.refresh_from_db()
    assert command.due_at is None, "a device that left is not sent to"
    post(connected(name(fleet), ago(SECOND)))
    command.refresh_from_db()
    assert command.due_at is not None


def test_the_test_clock_moves_the_brokers_times_too_R8(fleet):
    """Real time stays the measure of signatures; what EMQX stamps is moved with the product's time."""
    testclock.advance(timedelta(days=400), wall=clock.wall())
    clock.forget()
    try:
        began = ago(2 * HOUR)
        post(connected(name(fleet), began))
        assert fleet.presence().open_since == began + timedelta(days=400)
        post(disconnected(name(fleet), ago(HOUR), since=began))
        assert fleet.hours() == 1
    finally:
        testclock.reset(wall=clock.wall())
        clock.forget()


def test_a_batch_costs_the_same_whatever_its_size():
    counts = []
    for number, size in enumerate((1, 40)):
        fleet = make_fleet(size, name=f"Maker {number}")
        post(connected("no/body", ago(HOUR)))
        events = [connected(name(fleet, key), ago(HOUR)) for key in fleet.ids]
        body = json.dumps(events).encode()
        with CaptureQueriesContext(connection) as queries:
            assert post(body).status_code == 204
        counts.append(len(statements(queries)))
        assert all(fleet.presence(key).is_online for key in fleet.ids)
    assert counts[0] == counts[1] <= 9, counts


@pytest.mark.django_db(transaction=True)
def test_two_reports_about_the_same_devices_in_other_orders_both_get_through(fleet):
    """Locks are taken in one order (F23); nothing is lost between them."""
    names = [name(fleet, "d1"), name(fleet, "d2")]
    began = [ago(3 * HOUR), ago(2 * HOUR)]
    bodies = [[connected(who, began[turn]) for who in (names if turn else names[::-1])] for turn in (0, 1)]
    answers: list[int] = []

    def report(turn: int) -> None:
        try:
            with system_scope():
                answers.append(post(bodies[turn]).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=report, args=(turn,)) for turn in (0, 1) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [204] * 6
    assert {fleet.presence(key).session for key in ("d1", "d2")} == {str(ms(began[1]))}, "the newer one, in any order"
    assert Bridge.objects.get(name="emqx").received == 12
