"""Devices that show themselves are sent what waits for them (A21, A23; F53; R3)."""

from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.delivery import SECOND_LOOK
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService
from devices.services.staff_commands import resend_command
from devices.services.waking import wake_commands
from tests.services.fleet import (
    LOCK,
    NOW,
    SECOND,
    UNLOCK,
    WEEK,
    as_sent,
    command,
    make_fleet,
    newest,
    pay,
    scope,
    woken_tasks,
)

__all__ = ["scope", "woken_tasks"]
pytestmark = pytest.mark.django_db


def test_a_device_that_comes_online_within_the_cache_time_is_sent_what_waits(woken_tasks: Mock) -> None:
    """F53."""
    fleet = make_fleet(online=False)
    [lock] = fleet.tell(LOCK)
    wake_commands(fleet.ids, now=NOW + timedelta(days=3))
    assert command(lock.ticket).due_at == NOW + SECOND_LOOK  # due already; never later than it was
    Command.objects.update(due_at=None)
    wake_commands(fleet.ids, now=NOW + timedelta(days=3))
    assert command(lock.ticket).due_at == NOW + timedelta(days=3)
    woken_tasks.assert_called_with("devices.tasks.dispatch_commands")


def test_uplinks_bring_the_next_attempt_forward_to_a_minute_after_the_last() -> None:
    """A21: at most once a minute."""
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    Command.objects.update(attempts=3, sent_at=NOW, due_at=NOW + timedelta(hours=1))
    wake_commands(fleet.ids, now=NOW + 10 * SECOND)
    wake_commands(fleet.ids, now=NOW + 20 * SECOND)
    assert command(lock.ticket).due_at == NOW + 60 * SECOND


def test_a_paid_unlock_is_sent_again_after_the_cache_time(woken_tasks: Mock) -> None:
    """A23: the customer paid."""
    fleet = make_fleet()
    pay(fleet.ids[0])
    [unlock] = fleet.tell(UNLOCK)
    Command.objects.update(status="STALE", due_at=None, closed_at=NOW + WEEK)
    back = NOW + timedelta(days=200)
    wake_commands(fleet.ids, now=back)
    fresh = newest(unlock.device_id)
    assert (fresh.kind, fresh.status, fresh.generation, fresh.due_at) == ("UNLOCK", "PENDING", 2, back)
    assert DeviceService.objects.get(pk=unlock.device_id).generation == 2
    woken_tasks.assert_called_with("devices.tasks.dispatch_commands")
    wake_commands(fleet.ids, now=back + SECOND)
    assert Command.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"kind": "LOCK"}, "a LOCK is not revived"),
        ({"status": "CONFIRMED", "closed_at": NOW}, "it did its work, and this device can't report it"),
        ({"status": "ACKED", "acked_at": NOW}, "the device has it, and its report may come"),
        ({"status": "CANCELLED"}, "somebody cancelled it"),
        ({"created_at": NOW + WEEK - SECOND}, "at most once a minute"),
        ({"service": {"reported_lock": Lock.UNLOCKED.value}}, "the device is unlocked"),
        ({"service": {"state": State.EXPIRED.value}}, "nothing is paid"),
        ({"service": {"state": State.TERMINATED.value}}, "the service is over"),
        ({"service": {"desired_lock": Lock.LOCKED.value}}, "the device is to be locked"),
        ({"service": {"generation": 9}}, "a newer command exists"),
    ],
)
def test_nothing_else_is_sent_after_the_cache_time(change: dict[str, object], what: str) -> None:
    """A23: each condition by itself keeps a fresh UNLOCK from going out."""
    fleet = make_fleet()
    pay(fleet.ids[0])
    fleet.tell(UNLOCK)
    Command.objects.update(status="STALE", due_at=None, closed_at=NOW + WEEK)
    service = change.pop("service", {})
    DeviceService.objects.update(**service)
    if change:
        Command.objects.update(**change)
    wake_commands(fleet.ids, now=NOW + WEEK)
    assert Command.objects.count() == 1, what


@pytest.mark.parametrize("status", ["ACKED", "CONFIRMED"])
def test_a_paid_device_that_says_it_is_locked_after_all_gets_a_fresh_unlock(status: str) -> None:
    """A23: neither an ack nor an earlier report is what the device says now."""
    fleet = make_fleet()
    pay(fleet.ids[0])
    [unlock] = fleet.tell(UNLOCK)
    Command.objects.update(status=status, attempts=1, sent_at=NOW, acked_at=NOW, due_at=None)
    DeviceService.objects.update(reported_lock=Lock.LOCKED.value)
    wake_commands(fleet.ids, now=NOW + timedelta(minutes=9))
    assert Command.objects.count() == 1
    wake_commands(fleet.ids, now=NOW + timedelta(minutes=10))
    fresh = newest(unlock.device_id)
    assert (fresh.kind, fresh.status, fresh.generation) == ("UNLOCK", "PENDING", 2)


def test_an_uplink_or_a_person_sends_no_unlock_past_a_lock_that_is_still_on_its_way() -> None:
    """R3."""
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    as_sent(lock)
    [unlock] = fleet.tell(UNLOCK, now=NOW + SECOND)
    wake_commands(fleet.ids, now=NOW + 2 * SECOND)
    resend_command(command=unlock, actor="ann@example.com", now=NOW + 2 * SECOND)
    assert command(unlock.ticket).due_at == NOW + 5 * SECOND
    [another] = fleet.tell(UNLOCK, now=NOW + 3 * SECOND)
    assert another.due_at == NOW + 5 * SECOND


def test_waking_devices_for_which_nothing_waits_costs_two_statements(woken_tasks: Mock) -> None:
    fleet = make_fleet(40)
    with CaptureQueriesContext(connection) as seen:
        wake_commands(fleet.ids, now=NOW)
        wake_commands([], now=NOW)
    assert len(seen) == 2
    woken_tasks.assert_not_called()
