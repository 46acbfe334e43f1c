"""Renewals against PostgreSQL (A1, A12–A16, A18, A22, A25, E1, Q4, Q5; F02, F23, F32, F42; R2, R9)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import transaction

from amp.foundation.models import Enterprise, Event
from devices.invariants import violations
from devices.lifecycle import Lock, RenewalRefusal, State
from devices.models import Command, CommandStatus, DeviceService, Period
from devices.services import ledger
from devices.services.lifecycle import advance_due_services
from devices.services.renewal import quote_renewals
from tests.services.fleet import Fleet, scope
from tests.services.trials import DAY, HOUR, MINUTE, NOW, free_year, pay, service, story, young_fleet
from tests.stack.waiting import at_once

__all__ = ["scope"]


@pytest.mark.django_db
def test_a15_one_year_and_one_year_are_two_years_and_no_command_is_sent() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    first = pay(fleet, at=NOW + DAY, source="line:1")
    commands = Command.objects.count()
    second = pay(fleet, at=NOW + 2 * DAY, source="line:2")
    assert first.ends_at == datetime(2027, 3, 2, 12, tzinfo=UTC)
    assert second.ends_at == datetime(2028, 3, 2, 12, tzinfo=UTC)
    assert service(fleet).ends_at == second.ends_at
    assert Command.objects.count() == commands


@pytest.mark.django_db
def test_a16_a22_renewal_after_expiry_starts_at_payment_and_replaces_the_waiting_lock() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    outcome = pay(fleet, at=NOW + DAY)
    lock, unlock = Command.objects.order_by("generation")
    assert outcome.ends_at == datetime(2027, 3, 2, 12, tzinfo=UTC)
    assert (lock.status, unlock.kind, unlock.status) == (CommandStatus.SUPERSEDED.value, "UNLOCK", "PENDING")
    assert (service(fleet).state, service(fleet).desired_lock) == ("ACTIVE", "UNLOCKED")
    assert Period.objects.get().starts_at == NOW + DAY


@pytest.mark.django_db
def test_a16_success_before_the_end_extends_though_we_learn_of_it_after_the_lock() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    end = pay(fleet, at=NOW + DAY, months=1).ends_at
    assert end
    advance_due_services(now=end + HOUR)
    assert service(fleet).state == "EXPIRED"
    late = pay(fleet, at=end - MINUTE, source="line:2", months=1, now=end + 2 * HOUR)
    assert Period.objects.get(number=2).starts_at == end
    assert late.ends_at == datetime(2026, 5, 2, 12, tzinfo=UTC)
    assert (service(fleet).state, service(fleet).desired_lock) == ("ACTIVE", "UNLOCKED")


@pytest.mark.django_db
def test_a18_a_payment_before_an_end_that_no_sweep_has_seen_never_locks() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    end = pay(fleet, at=NOW + DAY, months=1).ends_at
    assert end
    locks = Command.objects.filter(kind="LOCK").count()
    pay(fleet, at=end - MINUTE, source="line:2", now=end + HOUR)
    assert service(fleet).state == "ACTIVE"
    assert Command.objects.filter(kind="LOCK").count() == locks


@pytest.mark.django_db
def test_a18_a_payment_after_an_end_that_no_sweep_has_seen_expires_first_then_unlocks() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    end = pay(fleet, at=NOW + DAY, months=1).ends_at
    assert end
    pay(fleet, at=end + MINUTE, source="line:2", now=end + HOUR)
    assert [kind for kind, _ in story(fleet)][-2:] == ["expired", "renewed"]
    assert story(fleet)[-2][1] == end
    assert Command.objects.latest("generation").kind == "UNLOCK"


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [1, 6])
def test_a13_paying_early_ends_the_trial_and_gives_up_the_included_period(minutes: int) -> None:
    """From PENDING (1 minute) and from TRIAL (6 minutes); the trial end then changes nothing (F42)."""
    fleet = young_fleet(renewal_before_trial_end=True)
    fleet.save_rule(auto_subscribe=True, auto_plan=free_year(fleet))
    paid_at = NOW + minutes * MINUTE
    [quoted] = quote_renewals(fleet.ids, months=12, now=paid_at)
    assert quoted.gives_up_months == 12
    pay(fleet, at=paid_at)
    advance_due_services(now=NOW + 30 * DAY)
    assert [period.source for period in Period.objects.all()] == ["line:1"]
    assert (service(fleet).state, service(fleet).trial_ended_at) == ("ACTIVE", paid_at)
    assert not Command.objects.exists()


@pytest.mark.django_db
def test_a12_a_quote_before_the_trial_ends_is_refused_with_its_reason() -> None:
    fleet = young_fleet()
    [quoted] = quote_renewals(fleet.ids, months=12, now=NOW + MINUTE)
    assert quoted.refusal is RenewalRefusal.TRIAL_NOT_OVER


@pytest.mark.django_db
def test_q5_the_quote_and_the_renewal_agree() -> None:
    fleet = young_fleet()
    [quoted] = quote_renewals(fleet.ids, months=12, now=NOW + DAY)
    assert quoted.state is State.EXPIRED  # though no sweep has run yet
    assert quoted.renewal
    assert pay(fleet, at=NOW + DAY).ends_at == quoted.renewal.ends_at


@pytest.mark.django_db
def test_a1_a25_with_paid_mode_off_nothing_moves_but_a_paid_renewal_is_honoured() -> None:
    fleet = young_fleet()
    fleet.save_rule(paid_mode=False)
    advance_due_services(now=NOW + 30 * DAY)
    assert (service(fleet).state, service(fleet).due_at) == ("PENDING", None)
    assert pay(fleet, at=NOW + 31 * DAY).ends_at
    assert service(fleet).state == "ACTIVE"


@pytest.mark.django_db
def test_q4_a_terminated_device_keeps_its_money_refundable() -> None:
    fleet = young_fleet()
    DeviceService.objects.update(state=State.TERMINATED.value, due_at=None)
    outcome = pay(fleet, at=NOW)
    assert (outcome.ends_at, outcome.refusal) == (None, RenewalRefusal.TERMINATED)
    assert not Period.objects.exists()


@pytest.mark.django_db
def test_f02_a_repeated_request_answers_with_the_period_that_it_made() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    first, again = pay(fleet, at=NOW + DAY), pay(fleet, at=NOW + DAY, now=NOW + 5 * DAY)
    assert first == again
    assert Period.objects.count() == 1


@pytest.mark.django_db
def test_r2_the_database_refuses_a_second_period_of_one_source() -> None:
    """The unique source is the last guard: with the look-up blinded, the write itself fails and nothing is kept."""
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    pay(fleet, at=NOW + DAY)
    with (
        patch("devices.services.renewal._renewed_before", return_value={}),
        pytest.raises(Exception, match="source"),
        transaction.atomic(),
    ):
        pay(fleet, at=NOW + DAY)
    assert Period.objects.count() == 1


@pytest.mark.django_db
def test_r9_periods_and_events_can_not_be_changed_or_removed() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    pay(fleet, at=NOW + DAY)
    for change in (
        lambda: Period.objects.update(months=99),
        lambda: Period.objects.all()._raw_delete("default"),
        lambda: Event.objects.update(why="nothing happened"),
        lambda: Event.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(Exception, match="append-only"), transaction.atomic():
            change()


@pytest.mark.django_db(transaction=True)
def test_f32_twelve_paid_orders_at_once_extend_twelve_times() -> None:
    """And without the row lock they overwrite each other: the negative control."""
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    pay(fleet, at=NOW + DAY, source="line:0", months=1)
    assert _paid_at_once(fleet, "locked") == 13
    with patch.object(type(DeviceService.objects.all()), "select_for_update", lambda self, **_: self):
        assert _paid_at_once(fleet, "unlocked") < 13


def _paid_at_once(fleet: Fleet, name: str) -> int:
    """Months by which twelve concurrent renewals of one month moved the service, plus one."""
    before = service(fleet).anchor_months
    honest = ledger.store

    def slow_store(*args: Any, **kwargs: Any) -> None:
        threading.Event().wait(0.02)
        honest(*args, **kwargs)

    def renew(number: int) -> None:
        pay(fleet, at=NOW + 2 * DAY, source=f"{name}:{number}", months=1)

    with patch("devices.services.renewal.store", slow_store):
        at_once(*[partial(renew, number) for number in range(12)])  # without the lock the constraints refuse some
    return service(fleet).anchor_months - before + 1


@pytest.mark.django_db
def test_r9_the_audit_sees_a_state_that_no_event_explains() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + HOUR)
    pay(fleet, at=NOW + DAY)
    DeviceService.objects.update(state=State.EXPIRED.value, ends_at=NOW, desired_lock=Lock.UNLOCKED.value)
    broken = {violation.name for violation in violations(now=NOW + DAY)}
    assert {"state_change_has_its_record", "end_is_fold_of_ledger", "expired_wants_lock"} <= broken


@pytest.mark.django_db
def test_e1_a_child_uses_its_ancestors_rule_in_its_own_time_zone() -> None:
    """A14: months end on the wall clock of the device's enterprise."""
    fleet = young_fleet()
    child = Enterprise.objects.create(
        name="North",
        parent=fleet.product.enterprise,
        path=f"{fleet.product.enterprise.path}2/",
        time_zone="Europe/Berlin",
        created_at=NOW,
    )
    DeviceService.objects.update(enterprise=child)
    advance_due_services(now=NOW + HOUR)
    outcome = pay(fleet, at=datetime(2026, 3, 15, 23, 30, tzinfo=UTC), months=1)
    assert outcome.ends_at == datetime(2026, 4, 15, 22, 30, tzinfo=UTC)  # 00:30 in Berlin, before and after the change
