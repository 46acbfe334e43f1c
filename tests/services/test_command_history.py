"""What a fleet was told in years before is not read again: work on commands grows with what is open, not with what was
(R5). A connect, a report, an order and a notice look at as many rows behind a long history as behind a short one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.db.models import DateTimeField, Value

from devices.delivery import TAKEN_BACK, UNFINISHED, CommandStatus
from devices.lifecycle import Lock
from devices.models import Command, DeviceService
from devices.models.commands import IS_UNFINISHED, MAY_STILL_ARRIVE
from devices.services.commands import confirm_by_reports, order_commands
from devices.services.lock_reports import Report, read_reports
from devices.services.notices import NoticeOrder, order_notices
from devices.services.waking import wake_commands
from tests.services.announcing import NOW, make_fleet
from tests.services.fleet import LOCK, LOCKS, UNLOCK, UNLOCKS, WEEK, Fleet, order_for, scope
from tests.services.rows_read import rows_read

__all__ = ["scope"]
pytestmark = pytest.mark.django_db

SIZE = 30
SHORT, LONG = 4, 60
"""Commands behind each device. Of four one was superseded after it had left, and never answered."""

_HISTORY = """
    INSERT INTO devices_command (enterprise_id, device_id, slot, kind, generation, ticket, values, rule_version,
        confirms_by_report, status, attempts, refusals, created_at, stale_at, sent_at, acked_at, confirmed_at,
        closed_at)
    SELECT enterprise_id, device_id, %(slot)s, CASE WHEN %(slot)s <> 'LOCK' THEN 'NOTICE'
            WHEN past %% 2 = 1 THEN 'LOCK' ELSE 'UNLOCK' END,
        past, gen_random_uuid(), '{}', 1, true, CASE WHEN past %% 4 = 1 THEN 'SUPERSEDED' ELSE 'CONFIRMED' END, 1, 0,
        %(then)s, %(then)s, %(then)s, CASE WHEN past %% 4 <> 1 THEN %(then)s END, %(then)s, %(then)s
    FROM devices_deviceservice, generate_series(1, %(length)s) AS past
"""


def connects(fleet: Fleet) -> None:
    wake_commands(fleet.ids, now=NOW)


def reports(fleet: Fleet) -> None:
    said = [Report(pk, fleet.product.pk, {"service_lock": "true"}, NOW) for pk in fleet.ids]
    assert len(read_reports(said)) == SIZE
    confirm_by_reports([(pk, Lock.LOCKED) for pk in fleet.ids], now=NOW)


def unlocks(fleet: Fleet) -> None:
    DeviceService.objects.update(generation=LONG + 1)
    with transaction.atomic():
        order_commands([order_for(service, UNLOCK) for service in DeviceService.objects.all()], now=NOW)


def locks(fleet: Fleet) -> None:
    DeviceService.objects.update(generation=LONG + 1)
    with transaction.atomic():
        order_commands([order_for(service, LOCK) for service in DeviceService.objects.all()], now=NOW)


def notices(fleet: Fleet) -> None:
    enterprise, product = fleet.product.enterprise_id, fleet.product.pk
    with transaction.atomic():
        order_notices([NoticeOrder(pk, enterprise, product, 3, 1, NOW, NOW + WEEK) for pk in fleet.ids], now=NOW)


WORK = (connects, reports, unlocks, locks, notices)


@pytest.mark.parametrize("reported", [Lock.UNLOCKED, Lock.UNKNOWN, Lock.LOCKED])
def test_a_long_history_is_not_read(reported: Lock) -> None:
    """As PostgreSQL counts the rows itself. What may grow is one row more for each device, from one look to another."""
    made = make_fleet(SIZE)
    fleet = Fleet(made.product, made.ids)
    fleet.save_rule(unlock_action=LOCKS, lock_action=UNLOCKS)
    DeviceService.objects.update(desired_lock=Lock.UNLOCKED.value, reported_lock=reported.value)
    Command.objects.all().delete()
    short, long = ({work.__name__: _rows_read(fleet, work, length) for work in WORK} for length in (SHORT, LONG))
    grown = {name: (short[name], long[name]) for name in short if long[name] > short[name] + SIZE}
    assert not grown, f"rows read behind a short and a long history: {grown}"
    assert long["locks"] < SIZE
    assert long["connects"] <= (0 if reported is Lock.UNLOCKED else 5 * SIZE)  # LOCKED: told to unlock once more


def test_a22_the_conditions_that_have_an_index_say_unfinished_as_the_rule_does() -> None:
    assert {status for status in CommandStatus if IS_UNFINISHED.check({"status": status.value})} == UNFINISHED
    assert {
        status
        for status in CommandStatus
        if MAY_STILL_ARRIVE.check({"status": status.value, "acked_at": Value(None, DateTimeField()), "sent_at": NOW})
    } == TAKEN_BACK


def _rows_read(fleet: Fleet, work: Callable[[Fleet], None], length: int) -> int:
    """Rows of the commands' table that are looked at; what was done is undone."""
    before_all = transaction.savepoint()
    with connection.cursor() as cursor:
        for slot in ("LOCK", "DEV_NOTICE"):
            cursor.execute(_HISTORY, {"slot": slot, "length": length, "then": NOW - WEEK})
        DeviceService.objects.update(generation=length)
        cursor.execute("ANALYZE devices_command")
    before = rows_read("devices_command")
    work(fleet)
    read = rows_read("devices_command") - before
    transaction.savepoint_rollback(before_all)
    return read
