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


def test_an_unlock_waits_for_a_lock_that_was_cancelled_on_its_way() -> None:
    """R3: cancelled is not unsent; the LOCK could arrive after the UNLOCK."""
    fleet = make_fleet(2)
    flying, waiting = fleet.tell(LOCK)
    as_sent(flying)
    for lock in (flying, waiting):
        cancel_command(command=lock, actor="ann@example.com", now=NOW + SECOND)
    after_flying, after_waiting = fleet.tell(UNLOCK, now=NOW + 2 * SECOND)
    assert after_flying.due_at == NOW + 5 * SECOND
    assert after_waiting.due_at == NOW + 2 * SECOND
    assert command(flying.ticket).status == "CANCELLED", "it is over, and stays what it is"
    cancel_command(command=after_flying, actor="ann@example.com", now=NOW + 3 * SECOND)
    [again] = fleet.tell(UNLOCK, now=NOW + 4 * SECOND, ids=[flying.device_id])
    assert again.due_at == NOW + 5 * SECOND, "also behind a command that had waited for it itself"


def test_an_unlock_waits_no_longer_than_the_5_seconds_of_the_cancelled_lock() -> None:
    """R3; and not at all where the device has answered."""
    fleet = make_fleet(2)
    silent, answered = map(as_sent, fleet.tell(LOCK))
    Command.objects.filter(pk=answered.pk).update(status="ACKED", acked_at=NOW, due_at=None)
    Command.objects.filter(pk=answered.pk).update(status="CANCELLED", closed_at=NOW)
    cancel_command(command=silent, actor="ann@example.com", now=NOW + SECOND)
    [soon] = fleet.tell(UNLOCK, now=NOW + 2 * SECOND, ids=[answered.device_id])
    [later] = fleet.tell(UNLOCK, now=NOW + 5 * SECOND, ids=[silent.device_id])
    assert (soon.due_at, later.due_at) == (NOW + 2 * SECOND, NOW + 5 * SECOND)


def test_waiting_locks_of_many_devices_are_cancelled_and_unlocks_are_kept() -> None:
    """A25."""
    fleet = make_fleet(4)
    fleet.tell(LOCK, ids=fleet.ids[:2])
    fleet.tell(UNLOCK, ids=fleet.ids[2:])
    assert cancel_commands(fleet.ids, actor="ann@example.com", now=NOW, kind=LOCK, why="paid mode off") == 2
    assert Command.objects.filter(status="CANCELLED", kind="LOCK").count() == 2
    assert Command.objects.filter(status="PENDING", kind="UNLOCK").count() == 2
