"""Ordering, waking, answering and confirming commands (A5, A19–A23; F53–F56, F64)."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation import wakeups
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.models import ThingModel
from devices.delivery import SECOND_LOOK
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService
from devices.services.commands import (
    apply_acks,
    cancel_commands,
    confirm_by_reports,
    order_commands,
)
from devices.services.staff_commands import CommandRefused, cancel_command, resend_command
from devices.services.waking import wake_commands
from tests.services.fleet import (
    LOCK,
    NOW,
    SECOND,
    UNLOCK,
    WEEK,
    command,
    events_of,
    make_fleet,
    newest,
    order_for,
    pay,
    thing_model,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def woken_tasks(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Records the wake-ups that services ask for."""
    wake = Mock()
    monkeypatch.setattr(wakeups, "wake", wake)
    return wake


def as_sent(row: Command, *, attempts: int = 1, sent_at=NOW) -> Command:
    """As dispatch leaves it after an attempt."""
    Command.objects.filter(pk=row.pk).update(
        status="SENT", attempts=attempts, sent_at=sent_at, due_at=sent_at + 5 * SECOND
    )
    return Command.objects.get(pk=row.pk)


# --- ordering ---------------------------------------------------------------------------------------------------------


def test_an_order_writes_a_command_that_says_what_the_rule_says(woken_tasks: Mock) -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    assert lock.values == {"service_lock": "true"}
    assert (lock.status, lock.generation, lock.rule_version, lock.attempts) == ("PENDING", 1, 1, 0)
    assert (lock.created_at, lock.stale_at, lock.due_at) == (NOW, NOW + WEEK, NOW)
    assert lock.confirms_by_report
    assert events_of(fleet.ids[0]) == ["command.created"]
    woken_tasks.assert_called_once_with("devices.tasks.dispatch_commands")


def test_a_command_to_an_offline_device_wakes_nobody(woken_tasks: Mock) -> None:
    """F53: it waits, and a second look finds a device that came online in the same moment."""
    [lock] = make_fleet(online=False).tell(LOCK)
    assert (lock.status, lock.due_at) == ("PENDING", NOW + SECOND_LOOK)
    woken_tasks.assert_not_called()


def test_with_cache_time_0_even_an_offline_device_is_tried_at_once(woken_tasks: Mock) -> None:
    """A20."""
    [lock] = make_fleet(online=False, cache=timedelta(0)).tell(LOCK)
    assert (lock.due_at, lock.stale_at) == (NOW, NOW)
    woken_tasks.assert_called_once()


def test_a_newer_command_supersedes_whatever_is_unfinished() -> None:
    """A22, F55."""
    fleet = make_fleet(3)
    waiting, sent, acked = fleet.tell(LOCK)
    as_sent(sent)
    Command.objects.filter(pk=acked.pk).update(status="ACKED", acked_at=NOW, due_at=None)
    unlocks = fleet.tell(UNLOCK, now=NOW + SECOND)
    for old in (waiting, sent, acked):
        row = command(old.ticket)
        assert (row.status, row.due_at, row.closed_at) == ("SUPERSEDED", None, NOW + SECOND)
    assert [row.generation for row in unlocks] == [2, 2, 2]
    assert events_of(waiting.device_id) == ["command.created", "command.superseded", "command.created"]


def test_a_newer_command_goes_out_only_when_the_older_one_can_no_longer_arrive() -> None:
    """R3: a LOCK in flight is given its 5 s, or it could arrive after the UNLOCK."""
    fleet = make_fleet(2)
    in_flight, waiting = fleet.tell(LOCK)
    as_sent(in_flight)
    held, free = fleet.tell(UNLOCK, now=NOW + SECOND)
    assert held.due_at == NOW + 5 * SECOND
    assert free.due_at == NOW + SECOND
    assert command(waiting.ticket).status == "SUPERSEDED"


def test_an_unlock_uses_the_rule_version_of_the_last_lock_that_was_sent() -> None:
    """A5: what locked the device unlocks it, though the rule has changed."""
    fleet = make_fleet(2)
    sent, unsent = fleet.tell(LOCK)
    as_sent(sent)
    model = thing_model()
    model["properties"].append({**model["properties"][0], "id": 2, "code": "new_lock"})
    ThingModel.objects.create(
        enterprise=fleet.product.enterprise, product=fleet.product, version=2, document=model, created_at=NOW
    )
    fleet.save_rule(
        lock_action=[{"code": "new_lock", "value": "true"}], unlock_action=[{"code": "new_lock", "value": "false"}]
    )
    old, new = fleet.tell(UNLOCK)
    assert (old.rule_version, old.values) == (1, {"service_lock": "false"})
    assert (new.rule_version, new.values) == (2, {"new_lock": "false"})
    assert command(unsent.ticket).status == "SUPERSEDED"


def test_an_action_that_no_longer_fits_the_TSL_fails_visibly_and_the_others_go_on() -> None:
    """F64."""
    broken, sound = make_fleet(name="Broken"), make_fleet(name="Sound")
    ThingModel.objects.create(
        enterprise=broken.product.enterprise,
        product=broken.product,
        version=2,
        document=thing_model(code="other"),
        created_at=NOW,
    )
    services = DeviceService.objects.filter(device_id__in=broken.ids + sound.ids).order_by("device_id")
    sound.ids = [service.device_id for service in services]
    failed, good = sound.tell(LOCK)
    assert (failed.status, failed.due_at, failed.closed_at) == ("FAILED", None, NOW)
    assert "service_lock" in failed.problem
    assert good.status == "PENDING"
    assert events_of(failed.device_id) == ["command.created", "device_service.lock_failed"]
    assert events_of(good.device_id) == ["command.created"]


def test_a_product_without_TSL_fails_visibly() -> None:
    fleet = make_fleet()
    ThingModel.objects.all().delete()
    [lock] = fleet.tell(LOCK)
    assert lock.status == "FAILED"
    assert "TSL" in lock.problem


@pytest.mark.parametrize("size", [1, 60])
def test_ordering_costs_eight_statements_whatever_the_number(size: int, woken_tasks: Mock) -> None:
    fleet = make_fleet(size)
    for row in fleet.tell(LOCK):
        as_sent(row)
    DeviceService.objects.update(generation=2)
    orders = [order_for(service, UNLOCK) for service in DeviceService.objects.order_by("device_id")]
    with CaptureQueriesContext(connection) as seen:
        order_commands(orders, now=NOW)
    assert len(seen) <= 8, [query["sql"][:90] for query in seen]
    assert Command.objects.filter(kind="UNLOCK").count() == size


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


# --- devices that show themselves -------------------------------------------------------------------------------------


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


# --- people -----------------------------------------------------------------------------------------------------------


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
