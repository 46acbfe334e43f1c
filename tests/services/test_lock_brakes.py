"""The two brakes on LOCKs against PostgreSQL (P8)."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event
from devices.delivery import CommandStatus
from devices.invariants import violations
from devices.models import Command, DeviceService, LockCount, LockHold
from devices.services.dispatch import close_stale
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import HoldNotDecided, cancel_held_locks, release_held_locks, work_off_holds
from devices.services.registration import terminate_device
from devices.services.staff_commands import resend_command
from devices.services.waking import wake_commands
from devices.transports.recorded import RecordedTransport
from tests.factories import make_rule_change
from tests.services.braking import (
    ANN,
    DAY,
    HOUR,
    MINUTE,
    bridge,
    end_at,
    expiring,
    fate,
    going,
    held,
    limit,
    owns,
    the_hold,
    work_off,
)
from tests.services.dispatching import run, transport
from tests.services.fleet import LOCK, NOW, WEEK, make_fleet, scope
from tests.services.trials import pay, service

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


# ------------------------------------------------------------------------------------------------ by number


def test_p8_a_hundred_of_three_hundred_go_and_the_rest_waits_for_a_person() -> None:
    fleet = expiring(300)
    advance_due_services(now=NOW)
    assert (going(), held()) == (100, 200)
    assert DeviceService.objects.filter(state="EXPIRED", desired_lock="LOCKED").count() == 300, "only the lock waits"
    first = set(fleet.ids[:100])
    assert set(Command.objects.filter(hold=None).values_list("device_id", flat=True)) == first, "first come"
    hold = the_hold()
    assert (hold.reason, hold.status, hold.allowance, hold.due_at) == ("TOO_MANY", "HOLDING", 100, None)
    [event] = Event.objects.filter(kind__startswith="lock_hold.")
    assert (event.kind, event.enterprise_id, event.after) == (
        "lock_hold.began", fleet.product.enterprise_id, {"reason": "TOO_MANY", "allowance": 100},
    )  # fmt: skip
    assert violations(now=NOW) == []


def test_p8_a_fifth_of_a_large_enterprise_goes() -> None:
    owns(700)
    expiring(300)
    owns(700)
    advance_due_services(now=NOW)
    assert (going(), held(), the_hold().allowance) == (140, 160, 140)


def test_p8_the_brake_stays_on_until_somebody_confirms_then_the_count_begins_anew(
    transport: RecordedTransport,
) -> None:
    fleet = expiring(300)
    end_at(fleet.ids[150:], NOW + 10 * DAY)
    advance_due_services(now=NOW)
    assert (going(), held()) == (100, 50)
    assert run(transport) == 100, "held ones are not due"
    advance_due_services(now=NOW + 10 * DAY)
    assert held() == 200, "ten days later it is still on"
    later = NOW + 10 * DAY + HOUR
    assert release_held_locks(hold=the_hold(), actor=ANN, now=later) == 200
    assert work_off(later, limit=70) == 200
    assert held() == 0
    rows = Command.objects.filter(released_at=later)
    assert {(row.status, row.due_at, row.stale_at) for row in rows} == {("PENDING", later, later + WEEK)}
    hold = the_hold()
    assert (hold.status, hold.decided_by, hold.number, hold.ended_at) == ("OVER", ANN, 200, later)
    [event] = Event.objects.filter(kind="lock_hold.released")
    assert (event.actor, event.after) == (ANN, {"reason": "TOO_MANY", "locks": 200})
    end_at(fleet.ids[:120], later)
    Command.objects.filter(device_id__in=fleet.ids).update(status="CONFIRMED", due_at=None)
    advance_due_services(now=later)
    assert (going(), held()) == (100, 20), "the released ones don't count"
    assert violations(now=later) == []


def test_p8_the_hour_slides() -> None:
    limit(settle=0, least=10, percent=0)
    fleet = expiring(30)
    for number, ids in enumerate((fleet.ids[:6], fleet.ids[6:10], fleet.ids[10:16])):
        end_at(ids, NOW + number * 40 * MINUTE)
    end_at(fleet.ids[16:], NOW + DAY)
    for number in range(3):
        advance_due_services(now=NOW + number * 40 * MINUTE)
    assert held() == 0, "6, 4 after 40 minutes; 6 more when the first are 80 minutes old"
    end_at(fleet.ids[16:20], NOW + 81 * MINUTE)
    advance_due_services(now=NOW + 81 * MINUTE)
    assert held() == 4


def test_p8_a_switch_of_the_rule_counts_and_meets_the_brake() -> None:
    fleet = expiring(130)
    advance_due_services(now=NOW)
    assert held() == 30
    make_rule_change(fleet.product, paid_mode=False, now=NOW + MINUTE)
    assert held() == 0, "A25: waiting locks are taken back, held ones too"
    assert not Command.objects.filter(kind="LOCK", status="PENDING").exists()
    make_rule_change(fleet.product, paid_mode=True, now=NOW + 2 * MINUTE)
    assert held() == 130, "the brake is still on"


def test_p8_what_a_person_orders_for_a_device_is_neither_held_nor_counted() -> None:
    limit(settle=0, least=3, percent=0)
    fleet = expiring(5)
    fleet.tell(LOCK)
    assert (held(), LockCount.objects.count()) == (0, 0)
    advance_due_services(now=NOW)
    assert held() == 2
    row = Command.objects.filter(hold__isnull=False).earliest("id")
    resend_command(command=row, actor=ANN, now=NOW + DAY)
    row.refresh_from_db()
    assert (row.hold_id, row.due_at, row.stale_at) == (None, NOW + DAY, NOW + DAY + WEEK)
    assert held() == 1
    assert the_hold().status == "HOLDING"


# --------------------------------------------------------------------------------------- held, and what ends it


def test_p8_a_payment_passes_a_held_lock_at_once(transport: RecordedTransport) -> None:
    limit(settle=0, least=1, percent=0)
    fleet = expiring(2)
    advance_due_services(now=NOW)
    assert fate(fleet, 1) == ("PENDING", True)
    pay(fleet, at=NOW + MINUTE, index=1)
    assert [row.status for row in Command.objects.filter(device_id=fleet.ids[1]).order_by("generation")] == [
        CommandStatus.SUPERSEDED.value,
        CommandStatus.PENDING.value,
    ]
    run(transport, NOW + MINUTE)
    assert fate(fleet, 1) == ("SENT", False)
    assert held() == 0


def test_p8_nothing_wakes_a_held_lock_and_it_does_not_go_stale(transport: RecordedTransport) -> None:
    limit(settle=0, least=1, percent=0)
    fleet = expiring(2)
    advance_due_services(now=NOW)
    later = NOW + 100 * DAY
    wake_commands(fleet.ids, now=NOW + MINUTE)
    close_stale(now=later)
    wake_commands(fleet.ids, now=later)
    run(transport, later)
    assert fate(fleet, 1) == ("PENDING", True)
    assert violations(now=later) == []


def test_p8_a_cache_time_of_0_is_one_attempt_after_the_release(transport: RecordedTransport) -> None:
    limit(settle=0, least=1, percent=0)
    fleet = expiring(2)
    fleet.save_rule(cache_seconds=0)
    advance_due_services(now=NOW)
    fleet.go(online=False)
    later = NOW + DAY
    close_stale(now=later)
    release_held_locks(hold=the_hold(), actor=ANN, now=later)
    work_off(later)
    assert fate(fleet, 1) == ("PENDING", False)
    run(transport, later)
    assert fate(fleet, 1) == ("SENT", False), "A20: try once, now"


def test_p8_a_held_lock_of_an_offline_device_waits_for_it_after_the_release(transport: RecordedTransport) -> None:
    limit(settle=0, least=1, percent=0)
    fleet = expiring(2)
    advance_due_services(now=NOW)
    fleet.go(online=False)
    release_held_locks(hold=the_hold(), actor=ANN, now=NOW + 8 * DAY)
    work_off(NOW + 8 * DAY)
    close_stale(now=NOW + 14 * DAY)
    fleet.go(online=True)
    wake_commands(fleet.ids, now=NOW + 14 * DAY)
    run(transport, NOW + 14 * DAY)
    assert fate(fleet, 1) == ("SENT", False)


def test_p8_termination_ends_a_held_lock_F70() -> None:
    limit(settle=0, least=1, percent=0)
    fleet = expiring(2)
    advance_due_services(now=NOW)
    terminate_device(device=service(fleet, 1).device, actor=ANN, now=NOW + MINUTE)
    assert fate(fleet, 1) == ("CANCELLED", False)


def test_p8_cancelled_locks_are_over_with_an_event_each_and_the_next_ones_go() -> None:
    fleet = expiring(130)
    advance_due_services(now=NOW)
    assert cancel_held_locks(hold=the_hold(), actor=ANN, now=NOW + MINUTE) == 30
    work_off(NOW + MINUTE)
    assert Command.objects.filter(status="CANCELLED", hold=None).count() == 30
    assert Event.objects.filter(kind="command.cancelled", actor=ANN, why="hold_cancelled").count() == 30
    assert Event.objects.filter(kind="lock_hold.cancelled", actor=ANN).count() == 1
    assert service(fleet, 129).desired_lock == "LOCKED"
    assert violations(now=NOW + MINUTE) == []


def test_p8_it_is_decided_once() -> None:
    expiring(101)
    advance_due_services(now=NOW)
    hold = the_hold()
    release_held_locks(hold=hold, actor=ANN, now=NOW)
    for decide in (release_held_locks, cancel_held_locks):
        with pytest.raises(HoldNotDecided):
            decide(hold=hold, actor="bob@example.com", now=NOW)
    assert the_hold().decided_by == ANN


def test_p8_commands_that_somebody_else_holds_are_taken_by_a_later_slice() -> None:
    expiring(103)
    advance_due_services(now=NOW)
    release_held_locks(hold=the_hold(), actor=ANN, now=NOW)
    assert work_off_holds(now=NOW, limit=2) == 2
    assert the_hold().status == "RELEASING"
    assert work_off_holds(now=NOW, limit=2) == 1
    assert the_hold().status == "OVER"


@pytest.mark.parametrize("wrong", [{"due_at": NOW}, {"status": "SENT"}, {"status": "CANCELLED"}, {"kind": "UNLOCK"}])
def test_p8_the_database_refuses_a_hold_on_anything_but_a_waiting_lock(wrong: dict) -> None:
    expiring(101)
    advance_due_services(now=NOW)
    with pytest.raises(IntegrityError, match="only_a_waiting_lock_is_held"), transaction.atomic():
        Command.objects.filter(hold__isnull=False).update(**wrong)


def test_p8_an_enterprise_has_one_hold_of_a_kind() -> None:
    expiring(101)
    advance_due_services(now=NOW)
    hold = the_hold()
    with pytest.raises(DatabaseError), transaction.atomic():
        LockHold.objects.create(enterprise_id=hold.enterprise_id, reason=hold.reason, began_at=NOW)


# ------------------------------------------------------------------------------------------------------------ costs


def test_the_brakes_cost_the_same_for_one_device_and_for_eighty() -> None:
    limit()
    bridge(NOW + HOUR)
    expiring(1)
    advance_due_services(now=NOW)
    counts = []
    more = make_fleet(81, name="Pump").ids
    for ids in (more[:1], more[1:]):
        end_at(ids, NOW + MINUTE)
        with CaptureQueriesContext(connection) as queries:
            advance_due_services(now=NOW + MINUTE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    about = [query["sql"] for query in queries if "lockcount" in query["sql"] or "lockhold" in query["sql"]]
    assert len(about) == 3, "the count, the holds, the count again"


def test_an_idle_look_at_the_holds_is_one_statement_P8(django_assert_num_queries) -> None:
    expiring(150)
    advance_due_services(now=NOW)
    with django_assert_num_queries(1):
        assert work_off_holds(now=NOW + DAY) == 0


def test_p8_after_a_confirmation_within_the_hour_the_count_begins_anew() -> None:
    fleet = expiring(230)
    end_at(fleet.ids[130:], NOW + DAY)
    advance_due_services(now=NOW)
    release_held_locks(hold=the_hold(), actor=ANN, now=NOW + MINUTE)
    work_off(NOW + MINUTE)
    end_at(fleet.ids[130:], NOW + MINUTE)
    advance_due_services(now=NOW + 2 * MINUTE)
    assert (held(), LockHold.objects.count()) == (0, 1), "another hundred go at once"
