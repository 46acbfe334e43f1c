"""What devices report of their lock, in the words of their rule (A5, A21)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.services.rules import RuleDraft, current_rule, save_rule
from devices.delivery import CommandKind
from devices.lifecycle import Lock
from devices.models import Command, DeviceService
from devices.services.commands import CommandOrder, order_commands
from tests.talking_devices import Fleet, at, lock_sent, make_fleet, tell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_the_reported_lock_is_what_the_device_said():
    fleet = make_fleet()
    tell(fleet.report("d1", at("09:00"), {"service_lock": "true"}))
    assert (fleet.service().reported_lock, fleet.service().reported_lock_at) == (Lock.LOCKED.value, at("09:00"))
    tell(fleet.report("d1", at("09:01"), {"power": "3"}))
    assert fleet.service().reported_lock == Lock.LOCKED.value
    tell(
        fleet.report("d1", at("09:02"), {"service_lock": "true"}),
        fleet.report("d1", at("09:03"), {"service_lock": "false"}),
    )
    assert fleet.service().reported_lock == Lock.UNLOCKED.value
    kinds = Event.objects.filter(subject=f"device:{fleet.ids['d1']}", actor="device").order_by("id")
    assert list(kinds.values_list("kind", "happened_at")) == [
        ("device_service.locked", at("09:00")),
        ("device_service.unlocked", at("09:03")),
    ]


def test_a_retained_or_older_report_changes_no_lock():
    fleet = make_fleet()
    tell(fleet.report("d1", at("09:00"), {"service_lock": "true"}, retained=True))
    assert fleet.service().reported_lock == Lock.UNKNOWN.value
    tell(fleet.report("d1", at("09:05"), {"service_lock": "true"}))
    tell(fleet.report("d1", at("09:01"), {"service_lock": "false"}), now=at("09:06"))
    assert fleet.service().reported_lock == Lock.LOCKED.value


@pytest.mark.parametrize("value", [None, {}, [], "", "maybe", 7, "true" * 9000])
def test_a_value_that_fits_neither_action_is_unknown(value):
    fleet = make_fleet()
    tell(fleet.report("d1", at("09:00"), {"service_lock": "true"}))
    tell(fleet.report("d1", at("09:01"), {"service_lock": value}))
    assert fleet.service().reported_lock == Lock.UNKNOWN.value
    told = Event.objects.get(kind="device_service.lock_unclear")  # R9: this too is a change
    assert (told.before, told.after) == ({"reported_lock": "LOCKED"}, {"reported_lock": "UNKNOWN"})


def rule_says(fleet: Fleet, code: str, locked: str, unlocked: str) -> None:
    """A new version of the rule, with other words for the lock."""
    rule = current_rule(fleet.product.pk)
    draft = RuleDraft.of(
        rule, lock_action=[{"code": code, "value": locked}], unlock_action=[{"code": code, "value": unlocked}]
    )
    save_rule(product=fleet.product, draft=draft, actor="test", now=at("08:10"))


@pytest.mark.parametrize("new", [("power", "0", "100"), ("service_lock", "false", "true")])
def test_an_unlock_in_the_words_of_an_older_rule_is_confirmed_by_a_report_in_them_A5(new: tuple[str, str, str]):
    """Also where the new rule would read the same report the other way round."""
    fleet = make_fleet()
    lock_sent(fleet)
    tell(fleet.report("d1", at("08:00:03"), {"service_lock": "true"}))
    rule_says(fleet, *new)
    DeviceService.objects.update(generation=2)
    order = CommandOrder(fleet.ids["d1"], fleet.enterprise.pk, fleet.product.pk, CommandKind.UNLOCK, 2)
    order_commands([order], now=at("09:00"))
    unlock = Command.objects.get(generation=2)
    assert unlock.values == {"service_lock": "false"}
    Command.objects.filter(pk=unlock.pk).update(status="ACKED", attempts=1, sent_at=at("09:00"), due_at=None)
    tell(fleet.report("d1", at("09:01"), {"service_lock": "false"}))
    unlock.refresh_from_db()
    assert (unlock.status, fleet.service().reported_lock) == ("CONFIRMED", Lock.UNLOCKED.value)


def test_a_report_in_the_words_of_the_rule_in_force_counts_beside_those_of_an_older_command():
    fleet = make_fleet()
    lock_sent(fleet)
    rule_says(fleet, "power", "0", "100")
    for value, lock in (("0", Lock.LOCKED), ("100", Lock.UNLOCKED), ("7", Lock.UNKNOWN)):
        tell(fleet.report("d1", at("09:00"), {"power": value}))
        assert fleet.service().reported_lock == lock.value
