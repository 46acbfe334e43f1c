"""Claiming, publishing and closing commands (A20–A23; F53–F55; R3)."""

import json
from datetime import timedelta

import pytest

from amp.foundation.models import Event
from devices.delivery import TRY_NOW_WITHIN
from devices.models import Command, Presence
from devices.services import dispatch
from devices.services.dispatch import close_stale, close_unanswered
from devices.services.waking import wake_commands
from devices.transports.recorded import RecordedTransport
from tests.services.dispatching import run, transport
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, WEEK, command, events_of, make_fleet, pay, scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


def test_a_due_command_goes_out_once_as_the_wire_format_says(transport: RecordedTransport) -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    assert run(transport) == 1
    assert run(transport) == 0
    [sent] = transport.published
    assert sent.topic == "amp/heater/d0/down/attr"
    assert json.loads(sent.payload) == {
        "ticket": str(lock.ticket),
        "generation": 1,
        "type": "MATTR",
        "subtype": "WRITE",
        "data": {"kv": {"service_lock": "true"}},
    }
    row = command(lock.ticket)
    assert (row.status, row.attempts, row.sent_at, row.due_at) == ("SENT", 1, NOW, NOW + 5 * SECOND)


def test_an_offline_device_gets_exactly_one_lock_when_it_is_back(transport: RecordedTransport) -> None:
    """F53."""
    fleet = make_fleet(online=False)
    [lock] = fleet.tell(LOCK)
    assert run(transport, now=NOW + timedelta(minutes=1)) == 1  # the second look
    row = command(lock.ticket)
    assert (row.status, row.due_at, row.attempts) == ("PENDING", None, 0)
    back = NOW + timedelta(days=6)
    fleet.go(online=True)
    for _ in range(3):
        wake_commands(fleet.ids, now=back)
        run(transport, now=back)
    assert [json.loads(each.payload)["ticket"] for each in transport.published] == [str(lock.ticket)]


def test_a_device_that_came_online_while_its_command_was_written_is_found_by_the_second_look(
    transport: RecordedTransport,
) -> None:
    """The bridge saw no command and the order saw no device: neither transaction could see the other."""
    fleet = make_fleet(online=False)
    fleet.tell(LOCK)
    fleet.go(online=True)  # committed in between, and nobody woke anything
    run(transport, now=NOW + 15 * SECOND)
    assert len(transport.published) == 1


def test_a_device_that_was_renewed_while_offline_gets_only_the_unlock(transport: RecordedTransport) -> None:
    """F55."""
    fleet = make_fleet(online=False)
    fleet.tell(LOCK)
    pay(fleet.ids[0])
    [unlock] = fleet.tell(UNLOCK, now=NOW + timedelta(days=1))
    fleet.go(online=True)
    wake_commands(fleet.ids, now=NOW + timedelta(days=2))
    for minutes in range(10):
        run(transport, now=NOW + timedelta(days=2, minutes=minutes))
    [sent] = [json.loads(each.payload) for each in transport.published]
    assert (sent["ticket"], sent["generation"]) == (str(unlock.ticket), 2)
    assert sent["data"]["kv"] == {"service_lock": "false"}


def test_after_the_cache_time_no_lock_goes_out_but_a_paid_unlock_does(transport: RecordedTransport) -> None:
    """A23, F54."""
    locked, paid = make_fleet(online=False), make_fleet(online=False, name="Cooler")
    [lock] = locked.tell(LOCK)
    pay(paid.ids[0])
    paid.tell(UNLOCK)
    back = NOW + WEEK + SECOND
    assert close_stale(now=back) == 2
    assert command(lock.ticket).status == "STALE"
    assert events_of(lock.device_id) == ["command.created", "command.stale"]
    assert Event.objects.get(kind="command.stale", subject=f"device:{lock.device_id}").happened_at == NOW + WEEK
    for fleet in (locked, paid):
        fleet.go(online=True)
    wake_commands(locked.ids + paid.ids, now=back)
    run(transport, now=back)
    assert [each.topic for each in transport.published] == ["amp/cooler/d0/down/attr"]


def test_a_command_at_the_very_end_of_its_cache_time_still_goes_out_and_a_microsecond_later_not(
    transport: RecordedTransport,
) -> None:
    """A20: the bound is inclusive. The claim itself closes what is late, whether or not anything else has run."""
    fleet = make_fleet(2)
    first, second = fleet.tell(LOCK)
    Command.objects.filter(pk=second.pk).update(due_at=NOW + WEEK + timedelta(microseconds=1))
    run(transport, now=NOW + WEEK)
    assert close_stale(now=NOW + WEEK) == 0
    run(transport, now=NOW + WEEK + timedelta(microseconds=1))
    assert [command(row.ticket).status for row in (first, second)] == ["SENT", "STALE"]
    assert events_of(second.device_id)[-1] == "command.stale"


def test_cache_time_0_is_one_attempt_at_once_and_then_over(transport: RecordedTransport) -> None:
    """A20."""
    fleet = make_fleet(online=False, cache=timedelta(0))
    [lock] = fleet.tell(LOCK)
    assert close_stale(now=NOW + SECOND) == 0  # the one attempt is still to come
    run(transport, now=NOW + SECOND)
    assert len(transport.published) == 1
    assert close_unanswered(now=NOW + 7 * SECOND) == 1
    assert command(lock.ticket).status == "STALE"


def test_cache_time_0_that_nobody_dispatched_in_time_is_over(transport: RecordedTransport) -> None:
    fleet = make_fleet(cache=timedelta(0))
    [lock] = fleet.tell(LOCK)
    late = NOW + TRY_NOW_WITHIN + SECOND
    assert close_stale(now=late) == 1
    assert run(transport, now=late) == 0
    assert command(lock.ticket).status == "STALE"


def test_an_older_command_in_flight_holds_the_newer_one_until_it_can_no_longer_arrive(
    transport: RecordedTransport,
) -> None:
    """R3."""
    fleet = make_fleet()
    fleet.tell(LOCK)
    run(transport)
    [unlock] = fleet.tell(UNLOCK, now=NOW + SECOND)
    assert run(transport, now=NOW + 4 * SECOND) == 0
    assert run(transport, now=NOW + 5 * SECOND) == 1
    assert json.loads(transport.published[-1].payload)["ticket"] == str(unlock.ticket)


def test_publishing_ends_before_the_wait_for_the_ack_does() -> None:
    """R3: a newer command waits for 5 s from the claim, so nothing may leave later."""
    assert dispatch.CONNECT_WITHIN + dispatch.PUBLISH_WITHIN < 5


def test_the_oldest_go_first_and_a_slice_is_a_slice(transport: RecordedTransport) -> None:
    fleet = make_fleet(5)
    rows = fleet.tell(LOCK)
    for age, row in enumerate(rows):
        Command.objects.filter(pk=row.pk).update(due_at=NOW - age * SECOND)
    assert run(transport, limit=2) == 2
    assert [each.topic for each in transport.published] == [fleet.topic(pk) for pk in (fleet.ids[4], fleet.ids[3])]
    assert run(transport, limit=2) == 2
    assert run(transport, limit=2) == 1


def test_presence_decides_and_a_device_without_it_counts_as_offline(transport: RecordedTransport) -> None:
    fleet = make_fleet()
    fleet.tell(LOCK)
    Presence.objects.all().delete()
    run(transport)
    assert transport.published == []
