"""The sweep and renewals against PostgreSQL (A2–A18, Q4; F02, F12, F15, F17, F23, F42, F43)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Enterprise, Event, Merchant
from amp.foundation.scoping import system_scope
from catalog.models import Plan, PlanStatus, ServiceLevel, ServiceRule
from devices.invariants import violations
from devices.lifecycle import Lock, RenewalRefusal, State
from devices.models import Command, CommandStatus, DeviceService, Period, Presence, PresenceSession
from devices.services import ledger, lifecycle
from devices.services.lifecycle import advance_due_services
from devices.services.renewal import RenewalOutcome, RenewalRequest, quote_renewals, renew_services
from tests.services.fleet import Fleet, make_fleet

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with system_scope():
        yield


def young_fleet(size: int = 1, *, online_since: datetime | None = NOW, **rule: Any) -> Fleet:
    """PENDING devices whose trial runs from 5 to 10 minutes online."""
    fleet = make_fleet(size, online=online_since is not None)
    fleet.save_rule(
        **{"trial_start_seconds": 300, "trial_end_seconds": 600, "thresholds_since": NOW - 30 * DAY, **rule}
    )
    ServiceLevel.objects.create(enterprise=fleet.product.enterprise, name="Standard", rank=1, standard_of=fleet.product)
    DeviceService.objects.update(
        state=State.PENDING.value, counts_from=0, due_at=NOW, last_event_at=NOW - DAY, state_since=NOW - DAY
    )
    Presence.objects.update(open_since=online_since)
    return fleet


def free_year(fleet: Fleet, **changes: Any) -> Plan:
    """A plan that auto-subscription may give."""
    enterprise = fleet.product.enterprise
    merchant = Merchant.objects.create(
        enterprise=enterprise, name="Maker Ltd", merchant_id="16000042", status="VERIFIED", created_at=NOW
    )
    fields = {"amount": 0, "months": 12, "status": PlanStatus.PUBLISHED.value} | changes
    return Plan.objects.create(
        enterprise=enterprise,
        merchant=merchant,
        level=fleet.product.standard_level,
        name="Included year",
        currency="CNY",
        created_at=NOW,
        **fields,
    )


def service(fleet: Fleet, index: int = 0) -> DeviceService:
    return DeviceService.objects.get(pk=fleet.ids[index])


def pay(
    fleet: Fleet, *, at: datetime, source: str = "line:1", months: int = 12, index: int = 0, now: datetime | None = None
) -> RenewalOutcome:
    request = RenewalRequest(fleet.ids[index], months, fleet.product.standard_level.pk, "12 months", source, at)
    [outcome] = renew_services([request], actor="test", now=now or at)
    return outcome


def story(fleet: Fleet, index: int = 0) -> list[tuple[str, datetime]]:
    events = Event.objects.filter(subject=f"device:{fleet.ids[index]}", kind__startswith="device_service.")
    return [(event.kind.split(".")[1], event.happened_at) for event in events.order_by("id")]


@pytest.mark.django_db
def test_a2_a17_a_late_sweep_dates_each_change_by_when_it_fell_due() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + 3 * DAY)
    assert story(fleet) == [("trial_started", NOW + 5 * MINUTE), ("expired", NOW + 10 * MINUTE)]
    now = service(fleet)
    assert (now.state, now.desired_lock, now.due_at, now.level_id) == ("EXPIRED", "LOCKED", None, None)
    [command] = Command.objects.all()
    assert (command.kind, command.generation, command.values) == ("LOCK", now.generation, {"service_lock": "true"})
    assert Event.objects.filter(kind="device_service.expired", noticed_at=NOW + 3 * DAY).exists()
    assert violations(now=NOW + 3 * DAY) == []


@pytest.mark.django_db
def test_a2_a_device_that_stays_online_moves_at_the_right_moment_not_at_disconnect() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW)
    assert service(fleet).due_at == NOW + 5 * MINUTE
    assert advance_due_services(now=NOW + 5 * MINUTE - timedelta(microseconds=1)).found == 0
    advance_due_services(now=NOW + 5 * MINUTE)
    assert (service(fleet).state, service(fleet).due_at) == ("TRIAL", NOW + 10 * MINUTE)


@pytest.mark.django_db
def test_p7_a_threshold_passed_in_a_closed_session_is_found_inside_it() -> None:
    fleet = young_fleet(online_since=None)
    Presence.objects.update(counted=int(4 * 3600e6))
    for begin in (NOW - 10 * HOUR, NOW - 5 * HOUR):
        PresenceSession.objects.create(
            device_id=fleet.ids[0], session=str(begin), started_at=begin, ended_at=begin + 2 * HOUR
        )
    fleet.save_rule(trial_start_seconds=3600, trial_end_seconds=3 * 3600)
    advance_due_services(now=NOW)
    assert story(fleet) == [("trial_started", NOW - 9 * HOUR), ("expired", NOW - 4 * HOUR)]


@pytest.mark.django_db
def test_p7_a_take_over_inside_the_open_interval_does_not_move_a_threshold_passed_before_it() -> None:
    """P3: the session that a take-over closed lies in the interval that is still open, which is not counted yet."""
    fleet = young_fleet(online_since=NOW - 5 * HOUR)
    Presence.objects.update(counted=int(4 * 3600e6))
    for begin, hours in ((NOW - 20 * HOUR, 4), (NOW - 5 * HOUR, 3)):
        PresenceSession.objects.create(
            device_id=fleet.ids[0], session=str(begin), started_at=begin, ended_at=begin + hours * HOUR
        )
    fleet.save_rule(trial_start_seconds=3600, trial_end_seconds=3 * 3600)
    advance_due_services(now=NOW)
    assert story(fleet) == [("trial_started", NOW - 19 * HOUR), ("expired", NOW - 17 * HOUR)]


@pytest.mark.django_db
def test_p7_a_threshold_that_a_session_reached_as_it_ended_is_dated_by_that_end() -> None:
    fleet = young_fleet(online_since=None)
    Presence.objects.update(counted=int(3 * 3600e6))
    for begin, hours in ((NOW - 20 * HOUR, 1), (NOW - 5 * HOUR, 2)):
        PresenceSession.objects.create(
            device_id=fleet.ids[0], session=str(begin), started_at=begin, ended_at=begin + hours * HOUR
        )
    fleet.save_rule(trial_start_seconds=3600, trial_end_seconds=3 * 3600)
    advance_due_services(now=NOW)
    assert story(fleet) == [("trial_started", NOW - 19 * HOUR), ("expired", NOW - 3 * HOUR)]


@pytest.mark.django_db
def test_r8_with_the_test_clock_moved_back_services_go_on_and_no_event_is_dated_before_the_last() -> None:
    fleet = young_fleet(2)
    DeviceService.objects.filter(pk=fleet.ids[0]).update(last_event_at=NOW + 30 * DAY)
    DeviceService.objects.filter(pk=fleet.ids[1]).update(
        state="ACTIVE", anchor=NOW, anchor_months=1, ends_at=NOW + MINUTE, last_event_at=NOW + 40 * DAY
    )
    advance_due_services(now=NOW + HOUR)
    assert story(fleet) == [("trial_started", NOW + 30 * DAY), ("expired", NOW + 30 * DAY)]
    assert story(fleet, 1) == [("expired", NOW + 40 * DAY)]


@pytest.mark.django_db
def test_a10_auto_subscription_gives_one_free_year_from_the_crossing_and_sends_nothing() -> None:
    fleet = young_fleet()
    fleet.save_rule(auto_subscribe=True, auto_plan=free_year(fleet))
    advance_due_services(now=NOW + HOUR)
    [period] = Period.objects.all()
    assert (period.kind, period.starts_at) == ("INCLUDED", NOW + 10 * MINUTE)
    assert period.ends_at == datetime(2027, 3, 1, 12, 10, tzinfo=UTC)
    assert (service(fleet).state, service(fleet).ends_at, service(fleet).due_at) == (
        "ACTIVE",
        period.ends_at,
        period.ends_at,
    )
    assert not Command.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "spoiled", [{"status": "WITHDRAWN"}, {"amount": 1}, {"plan_type": "RESELLER"}, {"sale_until": NOW}]
)
def test_a9_a11_the_included_plan_is_checked_again_when_it_fires(spoiled: dict[str, Any]) -> None:
    """F43: no lock for our own fault; a day later A8 applies."""
    fleet = young_fleet()
    fleet.save_rule(auto_subscribe=True, auto_plan=free_year(fleet, **spoiled))
    advance_due_services(now=NOW + HOUR)
    assert service(fleet).state == "TRIAL"
    assert story(fleet)[-1][0] == "held"
    advance_due_services(now=NOW + HOUR + 23 * HOUR)
    assert service(fleet).state == "TRIAL"
    advance_due_services(now=NOW + 26 * HOUR)
    assert (service(fleet).state, service(fleet).desired_lock) == ("EXPIRED", "LOCKED")
    assert [kind for kind, _ in story(fleet)].count("held") == 1


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


@pytest.mark.django_db
def test_the_sweep_needs_the_same_number_of_statements_for_one_device_and_for_two_hundred() -> None:
    counts = []
    for size in (1, 200):
        fleet = young_fleet(size, online_since=NOW) if not counts else _bigger(size)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert advance_due_services(now=NOW + HOUR).found == size
        counts.append(len(queries))
        assert DeviceService.objects.filter(pk__in=fleet.ids, state="EXPIRED").count() == size
    assert counts[0] == counts[1]
    assert counts[0] <= 20


def _bigger(size: int) -> Fleet:
    fleet = make_fleet(size, name="Boiler")
    fleet.save_rule(trial_start_seconds=300, trial_end_seconds=600, thresholds_since=NOW - 30 * DAY)
    DeviceService.objects.filter(pk__in=fleet.ids).update(
        state=State.PENDING.value, counts_from=0, due_at=NOW, last_event_at=NOW - DAY
    )
    Presence.objects.filter(pk__in=fleet.ids).update(open_since=NOW)
    return fleet


@pytest.mark.django_db
def test_an_idle_sweep_is_one_probe_of_the_partial_index() -> None:
    young_fleet(50)
    DeviceService.objects.update(due_at=NOW + DAY)
    with CaptureQueriesContext(connection) as queries:
        assert advance_due_services(now=NOW).found == 0
    assert [query["sql"] for query in queries if query["sql"].startswith("SELECT")][1:] == []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE devices_deviceservice")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT device_id FROM devices_deviceservice WHERE due_at <= now() ORDER BY due_at LIMIT 10"
        )
        assert "service_due" in "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.django_db
def test_f15_a_device_that_cannot_be_handled_is_put_aside_and_the_others_go_on() -> None:
    fleet = young_fleet(3)
    broken = fleet.ids[1]
    honest = lifecycle.due_transition

    def explode(facts: Any, terms: Any, now: Any) -> Any:
        if facts.life == 9:
            raise ZeroDivisionError
        return honest(facts, terms, now)

    DeviceService.objects.filter(pk=broken).update(life=9)
    with patch("devices.services.lifecycle.due_transition", explode):
        advance_due_services(now=NOW + HOUR)
    assert [service(fleet, index).state for index in range(3)] == ["EXPIRED", "PENDING", "EXPIRED"]
    assert service(fleet, 1).due_at == NOW + HOUR + lifecycle.STUCK_FOR
    assert story(fleet, 1)[-1][0] == "stuck"


@pytest.mark.django_db
def test_f15_a_row_that_the_database_refuses_is_put_aside_and_the_others_are_stored() -> None:
    """Its included period has been given already, as after a repair by hand: one source makes one period (R2)."""
    fleet = young_fleet(5)
    fleet.save_rule(auto_subscribe=True, auto_plan=free_year(fleet))
    advance_due_services(now=NOW + 6 * MINUTE)
    refused = service(fleet, 3)
    Period.objects.create(
        enterprise=refused.enterprise, device=refused.device, number=1, kind="INCLUDED",
        level=fleet.product.standard_level, plan_name="by hand", months=1, anchor=NOW, anchor_months=1, starts_at=NOW,
        ends_at=NOW + DAY, source=f"auto:{refused.pk}:1", created_at=NOW,
    )  # fmt: skip
    assert advance_due_services(now=NOW + HOUR).found == 5
    assert [service(fleet, index).state for index in range(5)] == ["ACTIVE", "ACTIVE", "ACTIVE", "TRIAL", "ACTIVE"]
    assert service(fleet, 3).due_at == NOW + HOUR + lifecycle.STUCK_FOR
    assert story(fleet, 3)[-1][0] == "stuck"


@pytest.mark.django_db
@pytest.mark.parametrize("spoiled", ["zone", "rule"])
def test_f15_an_enterprise_or_a_product_that_cannot_be_read_stops_nobody_else(spoiled: str) -> None:
    broken, sound = young_fleet(2), make_fleet(1, name="Cooler")
    if spoiled == "zone":
        broken.save_rule(auto_subscribe=True, auto_plan=free_year(broken))
        lost = Enterprise.objects.create(name="Lost", path="/1/3/", time_zone="Mars/Base", created_at=NOW)
        DeviceService.objects.filter(pk__in=broken.ids).update(enterprise=lost)
    else:
        ServiceRule.objects.filter(product=broken.product).update(is_current=False)
    DeviceService.objects.filter(pk__in=sound.ids).update(state="ACTIVE", ends_at=NOW, due_at=NOW)
    assert advance_due_services(now=NOW + HOUR).found == 3
    assert service(sound).state == "EXPIRED"
    assert {service(broken, index).due_at for index in range(2)} == {NOW + HOUR + lifecycle.STUCK_FOR}


@pytest.mark.django_db(transaction=True)
def test_f12_four_sweeps_at_once_do_what_one_would_do() -> None:
    fleet = young_fleet(40)

    def sweep() -> None:
        with system_scope():
            while advance_due_services(now=NOW + HOUR, limit=3).found:
                pass
        connection.close()

    _at_once([sweep] * 4)
    assert Command.objects.count() == 40
    assert Event.objects.filter(kind="device_service.expired").count() == 40
    assert {service.generation for service in DeviceService.objects.filter(pk__in=fleet.ids)} == {1}


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
    gate = threading.Barrier(12)
    honest = ledger.store

    def slow_store(*args: Any, **kwargs: Any) -> None:
        threading.Event().wait(0.02)
        honest(*args, **kwargs)

    def renew(number: int) -> None:
        gate.wait()
        try:
            with system_scope():
                pay(fleet, at=NOW + 2 * DAY, source=f"{name}:{number}", months=1)
        except Exception:  # noqa: BLE001 (without the lock the constraints refuse some)
            pass
        finally:
            connection.close()

    with patch("devices.services.renewal.store", slow_store):
        _at_once([lambda number=number: renew(number) for number in range(12)])
    return service(fleet).anchor_months - before + 1


def _at_once(work: list[Any]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


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
        name="North", parent=fleet.product.enterprise, path="/1/2/", time_zone="Europe/Berlin", created_at=NOW
    )
    DeviceService.objects.update(enterprise=child)
    advance_due_services(now=NOW + HOUR)
    outcome = pay(fleet, at=datetime(2026, 3, 15, 23, 30, tzinfo=UTC), months=1)
    assert outcome.ends_at == datetime(2026, 4, 15, 22, 30, tzinfo=UTC)  # 00:30 in Berlin, before and after the change


@pytest.mark.django_db
def test_a5_the_rule_in_force_is_read_when_it_is_used() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + 6 * MINUTE)
    fleet.save_rule(trial_end_seconds=10**6)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert service(fleet).state == "EXPIRED"  # the end threshold was frozen at the trial's start
    assert Command.objects.get().rule_version == ServiceRule.objects.get(is_current=True).version
