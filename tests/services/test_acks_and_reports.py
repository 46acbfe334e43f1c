"""Answers and reports of devices about their commands (A21, A22; F56)."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.lifecycle import Lock
from devices.models import Command
from devices.services.commands import apply_acks, confirm_by_reports
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, as_sent, command, events_of, make_fleet, scope

__all__ = ["scope"]
pytestmark = pytest.mark.django_db


# --- acks -------------------------------------------------------------------------------------------------------------


def test_an_ack_is_matched_by_device_and_ticket() -> None:
    """F56."""
    fleet = make_fleet(2)
    mine, other = map(as_sent, fleet.tell(LOCK))
    ignored = [
        (other.device_id, mine.ticket, True),  # another device's ticket
        (mine.device_id, uuid.uuid4(), True),
        (mine.device_id, "no ticket at all", True),
        (mine.device_id + 10_000, mine.ticket, True),
    ]
    assert apply_acks(ignored, now=NOW) == 0
    assert command(mine.ticket).status == "SENT"
    assert apply_acks([(mine.device_id, str(mine.ticket), True)], now=NOW + SECOND) == 1
    row = command(mine.ticket)
    assert (row.status, row.acked_at, row.due_at) == ("ACKED", NOW + SECOND, None)


def test_a_late_ack_of_a_superseded_command_is_ignored() -> None:
    """F56."""
    fleet = make_fleet()
    [lock] = map(as_sent, fleet.tell(LOCK))
    [unlock] = fleet.tell(UNLOCK)
    assert apply_acks([(lock.device_id, lock.ticket, True)], now=NOW) == 0
    assert command(lock.ticket).status == "SUPERSEDED"
    assert command(unlock.ticket).status == "PENDING"


def test_the_third_fail_ack_is_a_lock_failure_that_integrators_hear_of() -> None:
    """A21."""
    [lock] = make_fleet().tell(LOCK)
    for attempts in (1, 2, 3):
        as_sent(lock, attempts=attempts)
        assert apply_acks([(lock.device_id, lock.ticket, False)] * 2, now=NOW) == 1  # QoS 1 repeats count once
    row = command(lock.ticket)
    assert (row.status, row.refusals, row.due_at) == ("FAILED", 3, None)
    assert row.problem
    assert events_of(lock.device_id) == ["command.created", "device_service.lock_failed"]


def test_the_ack_confirms_a_property_that_cant_be_read() -> None:
    """A21."""
    [lock] = make_fleet(access="W").tell(LOCK)
    assert not lock.confirms_by_report
    as_sent(lock)
    apply_acks([(lock.device_id, lock.ticket, True)], now=NOW + SECOND)
    row = command(lock.ticket)
    assert (row.status, row.confirmed_at, row.closed_at) == ("CONFIRMED", NOW + SECOND, NOW + SECOND)
    assert events_of(lock.device_id) == ["command.created", "device_service.locked"]


def test_acks_of_a_batch_cost_two_statements() -> None:
    fleet = make_fleet(50)
    acks = [(row.device_id, row.ticket, True) for row in map(as_sent, fleet.tell(LOCK))]
    with CaptureQueriesContext(connection) as seen:
        assert apply_acks(acks, now=NOW) == 50
    assert len(seen) == 2, seen.captured_queries


# --- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_confirms_the_command_even_before_its_ack() -> None:
    """A21."""
    fleet = make_fleet(3)
    sent, acked, unsent = fleet.tell(LOCK)
    as_sent(sent)
    Command.objects.filter(pk=as_sent(acked).pk).update(status="ACKED")
    assert confirm_by_reports([(pk, Lock.LOCKED) for pk in fleet.ids], now=NOW + SECOND) == 2
    assert [command(row.ticket).status for row in (sent, acked, unsent)] == ["CONFIRMED", "CONFIRMED", "PENDING"]
    assert command(sent.ticket).confirmed_at == NOW + SECOND


def test_a_report_of_the_other_state_or_of_an_older_command_confirms_nothing() -> None:
    fleet = make_fleet()
    [lock] = map(as_sent, fleet.tell(LOCK))
    assert confirm_by_reports([(lock.device_id, Lock.UNLOCKED)], now=NOW) == 0
    assert confirm_by_reports([(lock.device_id, Lock.UNKNOWN)], now=NOW) == 0
    [unlock] = map(as_sent, fleet.tell(UNLOCK))
    assert confirm_by_reports([(lock.device_id, Lock.LOCKED)], now=NOW) == 0
    assert command(lock.ticket).status == "SUPERSEDED"
    assert command(unlock.ticket).status == "SENT"
