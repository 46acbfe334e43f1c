"""The sweep against PostgreSQL: trials, ends and included periods (A2, A5, A9–A11, A17, P7; F12, F15, F17, F43; R8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Enterprise, Event
from catalog.models import ServiceRule
from devices.invariants import violations
from devices.lifecycle import State
from devices.models import Command, DeviceService, LockCount, Period, Presence, PresenceSession
from devices.services import lifecycle
from devices.services.lifecycle import advance_due_services
from devices.services.stuck import RETRIES
from tests.services.fleet import Fleet, make_fleet, scope
from tests.services.trials import DAY, HOUR, MINUTE, NOW, free_year, service, story, young_fleet
from tests.stack.waiting import at_once, failures

__all__ = ["scope"]


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
def test_the_sweep_needs_the_same_number_of_statements_for_one_device_and_for_two_hundred(settings: Any) -> None:
    settings.LOCK_ALLOWANCE = 1_000
    counts = []
    for size in (1, 200):
        fleet = young_fleet(size, online_since=NOW) if not counts else _bigger(size)
        LockCount.objects.get_or_create(enterprise=fleet.product.enterprise)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert advance_due_services(now=NOW + HOUR).found == size
        counts.append(len(queries))
        assert DeviceService.objects.filter(pk__in=fleet.ids, state="EXPIRED").count() == size
    assert counts[0] == counts[1]
    assert counts[0] <= 21


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
    assert service(fleet, 1).due_at == NOW + HOUR + RETRIES[0]


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
    assert service(fleet, 3).due_at == NOW + HOUR + RETRIES[0]


@pytest.mark.django_db
@pytest.mark.parametrize("spoiled", ["zone", "rule"])
def test_f15_an_enterprise_or_a_product_that_cannot_be_read_stops_nobody_else(spoiled: str) -> None:
    broken, sound = young_fleet(2), make_fleet(1, name="Cooler")
    if spoiled == "zone":
        broken.save_rule(auto_subscribe=True, auto_plan=free_year(broken))
        lost = Enterprise.objects.create(
            name="Lost", path=f"{broken.product.enterprise.path}9999/", time_zone="Mars/Base", created_at=NOW
        )
        DeviceService.objects.filter(pk__in=broken.ids).update(enterprise=lost)
    else:
        ServiceRule.objects.filter(product=broken.product).update(is_current=False)
    DeviceService.objects.filter(pk__in=sound.ids).update(state="ACTIVE", ends_at=NOW, due_at=NOW)
    assert advance_due_services(now=NOW + HOUR).found == 3
    assert service(sound).state == "EXPIRED"
    assert {service(broken, index).due_at for index in range(2)} == {NOW + HOUR + RETRIES[0]}


@pytest.mark.django_db(transaction=True)
def test_f12_four_sweeps_at_once_do_what_one_would_do() -> None:
    fleet = young_fleet(40)

    def sweep() -> None:
        while advance_due_services(now=NOW + HOUR, limit=3).found:
            pass

    assert failures(at_once(*[sweep] * 4)) == []
    assert Command.objects.count() == 40
    assert Event.objects.filter(kind="device_service.expired").count() == 40
    assert {service.generation for service in DeviceService.objects.filter(pk__in=fleet.ids)} == {1}


@pytest.mark.django_db
def test_a5_the_rule_in_force_is_read_when_it_is_used() -> None:
    fleet = young_fleet()
    advance_due_services(now=NOW + 6 * MINUTE)
    fleet.save_rule(trial_end_seconds=10**6)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert service(fleet).state == "EXPIRED"  # the end threshold was frozen at the trial's start
    assert Command.objects.get().rule_version == ServiceRule.objects.get(is_current=True).version
