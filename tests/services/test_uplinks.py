"""Batches of messages in PostgreSQL: locks reported, acks, waiting commands, junk, poison and floods."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.lifecycle import Lock
from devices.models import Command, CommandStatus, Device, DeviceService, Presence
from devices.registration_csv import DeviceRow
from devices.services import presence, uplinks
from devices.services.lock_reports import store_reported
from devices.services.registration import register_many, terminate_device
from devices.services.uplinks import Inbound
from tests.talking_devices import at, lock_sent, make_fleet, tell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_an_ack_is_taken_and_the_report_confirms_A21():
    fleet = make_fleet()
    command = lock_sent(fleet)
    tell(fleet.ack("d1", at("08:00:02"), command.ticket))
    command.refresh_from_db()
    assert command.status == CommandStatus.ACKED.value
    tell(fleet.report("d1", at("08:00:03"), {"service_lock": "true"}))
    command.refresh_from_db()
    assert command.status == CommandStatus.CONFIRMED.value


def test_an_ack_from_another_device_is_worth_nothing():
    """F56, F68."""
    fleet = make_fleet(2)
    command = lock_sent(fleet)
    tell(fleet.ack("d2", at("08:00:02"), command.ticket), fleet.ack("d1", at("08:00:02"), uuid4()))
    command.refresh_from_db()
    assert command.status == CommandStatus.SENT.value


@pytest.mark.parametrize("says", ["online", "report"])
def test_a_device_that_shows_itself_makes_its_command_due_A21(says: str):
    """F53."""
    fleet = make_fleet()
    command = lock_sent(fleet)
    Command.objects.update(status=CommandStatus.PENDING.value, due_at=None)
    tell(fleet.offline("d1", at("08:30"), 3), fleet.online("d1", at("08:31"), retained=True))
    command.refresh_from_db()
    assert command.due_at is None
    tell(getattr(fleet, says)("d1", at("09:00")))
    command.refresh_from_db()
    assert command.due_at == at("09:00")


def test_junk_is_dropped_and_counted_by_reason_F69():
    fleet = make_fleet(2)
    applied = tell(
        fleet.say("d1", "status", b"\xff", at("09:00")),
        fleet.say("d1", "status", b"[" * 999 + b"]" * 999, at("09:00")),
        fleet.say("d1", "up/attr", b" " * 70_000, at("09:00")),
        fleet.say("d9", "status", {"value": 1}, at("09:00")),
        Inbound("amp/x", b"{}", False, at("09:00")),
        fleet.say("d1", "up/ack", {"ticket": str(uuid4()), "status": "succ", "deviceKey": "d2"}, at("09:00")),
        fleet.online("d2", at("09:00")),
    )
    assert applied.dropped == {
        "not_json": 1, "too_deep": 1, "too_large": 1, "unknown_device": 1, "topic": 1, "about_another_device": 1
    }  # fmt: skip
    assert applied.counts == {"Status": 1}
    assert fleet.presence("d2").is_online


def test_a_terminated_device_is_unknown():
    fleet = make_fleet()
    Device.objects.update(terminated_at=at("08:00"))
    assert tell(fleet.online("d1", at("09:00"))).dropped == {"unknown_device": 1}


def test_what_a_terminated_device_left_open_ends_and_its_topics_speak_for_the_next_device_F70():
    fleet = make_fleet()
    tell(fleet.online("d1", at("08:00"), 1))
    old, lock = fleet.ids["d1"], lock_sent(fleet)
    terminate_device(device=Device.objects.get(pk=old), actor="ann", now=at("09:00"))
    gone = fleet.presence()
    assert (gone.is_online, fleet.hours()) == (False, 1)
    [new] = register_many(
        product=fleet.product, enterprise=fleet.enterprise, rows=[DeviceRow("d1", "", "", "")], actor="ann",
        now=at("09:00"),
    )  # fmt: skip
    tell(
        fleet.online("d1", at("09:30"), 1, retained=True),
        fleet.ack("d1", at("09:30"), lock.ticket),
        fleet.report("d1", at("09:30"), {"service_lock": "true"}),
    )
    assert (DeviceService.objects.get(pk=old).reported_lock, fleet.hours()) == (Lock.UNKNOWN.value, 1)
    assert Command.objects.get(pk=lock.pk).status == CommandStatus.CANCELLED.value
    assert DeviceService.objects.get(pk=new.device_id).reported_lock == Lock.LOCKED.value
    assert Presence.objects.get(pk=new.device_id).open_since == at("09:30")
    ended = Event.objects.get(kind="device_service.terminated")
    assert ended.before.keys() == ended.after.keys() == {"state", "ends_at", "desired_lock", "generation"}


def test_a_poison_message_is_dropped_alone_F15(monkeypatch: pytest.MonkeyPatch):
    """Whatever our own code trips over: the other 99 are applied, the fault is logged and counted."""
    fleet = make_fleet(100)
    original = uplinks.record_presence

    def trips(heard, locked, **options):
        if any(one.device_id == fleet.ids["d37"] for one in heard):
            raise ZeroDivisionError
        return original(heard, locked, **options)

    monkeypatch.setattr(uplinks, "record_presence", trips)
    applied = tell(*(fleet.online(key, at("09:00")) for key in fleet.ids))
    assert applied.dropped == {"unexpected": 1}
    assert applied.counts == {"Status": 99}
    assert Presence.objects.filter(is_online=True).count() == 99


def test_trouble_of_the_database_drops_nothing_F18(monkeypatch: pytest.MonkeyPatch):
    fleet = make_fleet(2)

    def is_away(heard, locked, **options):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(uplinks, "record_presence", is_away)
    with pytest.raises(OperationalError):
        tell(*(fleet.online(key, at("09:00")) for key in fleet.ids))


def test_a_flood_from_one_device_leaves_room_for_the_others_F69():
    fleet = make_fleet(2)
    flood = [fleet.report("d1", at("09:00"), {"power": str(number % 100)}) for number in range(4_000)]
    applied = tell(fleet.online("d2", at("09:00")), *flood, fleet.report("d1", at("09:01"), {"service_lock": "true"}))
    assert applied.dropped == {"flood": 3_901}
    assert fleet.presence("d2").is_online
    assert fleet.service("d1").reported_lock == Lock.LOCKED.value


def test_a_broker_that_died_ends_the_session_of_a_device_that_comes_back_without_having_left_P4():
    fleet = make_fleet(2)
    for key in fleet.ids:
        tell(fleet.online(key, at("09:00"), 1))
    tell(fleet.online("d1", at("12:00"), 2), fleet.online("d2", at("12:00"), 2), last_contact=at("10:00"))
    tell(fleet.offline("d1", at("13:00"), 2), fleet.offline("d2", at("13:00"), 2))
    assert (fleet.hours("d1"), fleet.hours("d2")) == (2, 2)
    assert fleet.sessions()[0].estimated


def test_a_last_will_that_waited_at_the_broker_counts_from_the_loss_of_contact_P1():
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    tell(fleet.offline("d1", at("12:00"), 1)._replace(kept_since=at("10:00")), last_contact=at("10:00"))
    assert fleet.hours() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_batch_locks_services_in_one_order_so_that_a_rule_change_never_ends_in_a_deadlock_F23(
    at_once: bool, monkeypatch: pytest.MonkeyPatch
):
    """The second device comes online, the first reports: locked one after the other, they meet whoever goes upwards."""
    fleet = make_fleet(2, trial_start_seconds=300, trial_end_seconds=600)
    first, second = fleet.ids["d1"], fleet.ids["d2"]
    tell(fleet.online("d1", at("08:00"), 1))
    between, met, outcomes = threading.Event(), threading.Event(), []

    def pause(*arguments, **options):
        between.set()
        met.wait(1)
        return store_reported(*arguments, **options)

    def upwards() -> None:
        with system_scope(), contextlib.suppress(OperationalError), transaction.atomic():
            between.wait(10)
            for device_id in (first, second):
                DeviceService.objects.select_for_update().get(pk=device_id)
                met.set()
            outcomes.append("upwards")
        connections.close_all()

    monkeypatch.setattr(uplinks, "store_reported", pause)
    if not at_once:
        monkeypatch.setattr(presence, "lock_services", lambda _ids: None)
    other = threading.Thread(target=upwards)
    other.start()
    with contextlib.suppress(OperationalError):
        tell(fleet.online("d2", at("09:00"), 1), fleet.report("d1", at("09:00"), {"service_lock": "true"}))
        outcomes.append("batch")
    other.join(20)
    assert (len(outcomes) == 2) is at_once, outcomes


@pytest.mark.parametrize("size", [1, 300])
def test_a_whole_batch_costs_a_fixed_number_of_statements(size: int):
    fleet = make_fleet(size, trial_start_seconds=300, trial_end_seconds=600)
    tell(fleet.report("d1", at("08:00"), {"service_lock": "true"}))
    batch = [
        message
        for key in fleet.ids
        for message in (
            fleet.online(key, at("09:00"), 5),
            fleet.report(key, at("09:00"), {"service_lock": "false"}),
            fleet.ack(key, at("09:00"), uuid4()),
        )
    ]
    with CaptureQueriesContext(connection) as queries:
        tell(*batch)
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 16, "\n".join(statement[:120] for statement in statements)
