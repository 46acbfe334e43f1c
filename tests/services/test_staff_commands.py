"""Staff send a command again, or cancel it (A22, A25; F54)."""

from datetime import timedelta

import pytest

from amp.foundation.models import Event
from devices.lifecycle import State
from devices.models import Command, DeviceService
from devices.services.commands import cancel_commands
from devices.services.staff_commands import CommandRefused, cancel_command, resend_command
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, WEEK, as_sent, command, events_of, make_fleet, newest, scope

__all__ = ["scope"]
pytestmark = pytest.mark.django_db


def test_staff_resend_a_stale_lock_as_a_new_generation() -> None:
    """F54."""
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    Command.objects.update(status="STALE", due_at=None)
    resend_command(command=lock, actor="ann@example.com", now=NOW + WEEK)
    fresh = newest(lock.device_id)
    assert (fresh.kind, fresh.generation, fresh.status, fresh.due_at) == ("LOCK", 2, "PENDING", NOW + WEEK)
    assert DeviceService.objects.get(pk=lock.device_id).generation == 2
    assert Event.objects.latest("id").actor == "ann@example.com"


def test_resending_a_waiting_command_sends_that_one_now() -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    Command.objects.update(due_at=NOW + timedelta(hours=1), attempts=5, sent_at=NOW)
    resend_command(command=lock, actor="ann@example.com", now=NOW + SECOND)
    assert Command.objects.get().due_at == NOW + SECOND
    assert events_of(lock.device_id)[-1] == "command.resent"


def test_nobody_revives_a_lock_that_a_payment_has_undone() -> None:
    """A22."""
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    fleet.tell(UNLOCK)
    with pytest.raises(CommandRefused):
        resend_command(command=lock, actor="ann@example.com", now=NOW)
    assert Command.objects.count() == 2


def test_a_command_on_its_way_or_of_a_terminated_device_is_not_sent_again() -> None:
    fleet = make_fleet()
    [lock] = map(as_sent, fleet.tell(LOCK))
    with pytest.raises(CommandRefused, match="on its way"):
        resend_command(command=lock, actor="ann@example.com", now=NOW)
    DeviceService.objects.update(state=State.TERMINATED.value)
    with pytest.raises(CommandRefused, match="terminated"):
        resend_command(command=lock, actor="ann@example.com", now=NOW)


def test_a_cancelled_command_is_over_and_is_cancelled_once() -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    cancel_command(command=lock, actor="ann@example.com", now=NOW)
    assert command(lock.ticket).status == "CANCELLED"
    assert events_of(lock.device_id) == ["command.created", "command.cancelled"]
    with pytest.raises(CommandRefused):
        cancel_command(command=lock, actor="ann@example.com", now=NOW)


def test_waiting_locks_of_many_devices_are_cancelled_and_unlocks_are_kept() -> None:
    """A25."""
    fleet = make_fleet(4)
    fleet.tell(LOCK, ids=fleet.ids[:2])
    fleet.tell(UNLOCK, ids=fleet.ids[2:])
    assert cancel_commands(fleet.ids, actor="ann@example.com", now=NOW, kind=LOCK, why="paid mode off") == 2
    assert Command.objects.filter(status="CANCELLED", kind="LOCK").count() == 2
    assert Command.objects.filter(status="PENDING", kind="UNLOCK").count() == 2
