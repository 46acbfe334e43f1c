"""Ordering commands: what is written, what it supersedes and when it may leave (A5, A19, A20, A22; F53, F55, F64)."""

from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import ThingModel
from devices.delivery import SECOND_LOOK
from devices.models import Command, DeviceService
from devices.services.commands import order_commands
from tests.services.fleet import (
    LOCK,
    NOW,
    SECOND,
    UNLOCK,
    WEEK,
    as_sent,
    command,
    events_of,
    make_fleet,
    order_for,
    scope,
    thing_model,
    woken_tasks,
)

__all__ = ["scope", "woken_tasks"]
pytestmark = pytest.mark.django_db


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
