"""LOCKs of trial ends while presence settles after an outage of a bridge, against PostgreSQL (P8, P6)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from amp.foundation.models import Event
from devices.models import Command, LockHold, Presence
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import release_held_locks
from devices.transports.recorded import RecordedTransport
from tests.services.braking import (
    ANN,
    DAY,
    HOUR,
    MINUTE,
    SETTLE,
    bridge,
    expiring,
    fate,
    going,
    held,
    limit,
    the_hold,
    work_off,
)
from tests.services.dispatching import run, transport
from tests.services.fleet import NOW, scope
from tests.services.trials import pay, service, young_fleet

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


def test_p8_trial_ends_while_the_bridge_is_away_are_held_until_presence_has_settled(
    transport: RecordedTransport,
) -> None:
    limit()
    bridge(NOW - MINUTE)
    fleet = young_fleet(3)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert {service(fleet, index).state for index in range(3)} == {"EXPIRED"}
    assert held() == 3
    assert the_hold().reason == "SETTLING"
    work_off(NOW + HOUR)
    assert held() == 3, "still away"
    back = NOW + 2 * HOUR
    almost = back + SETTLE - timedelta(seconds=1)
    bridge(almost, back)
    work_off(almost)
    assert held() == 3
    bridge(back + SETTLE, back)
    work_off(back + SETTLE)
    assert (held(), going(), the_hold().status, the_hold().decided_by) == (0, 3, "OVER", "sweep")
    assert run(transport, back + SETTLE) == 3
    [event] = Event.objects.filter(kind="lock_hold.released")
    assert (event.actor, event.after["locks"]) == ("sweep", 3)


def test_p8_for_a_settle_time_after_the_outage_trial_ends_are_held_then_no_more() -> None:
    limit()
    bridge(NOW + 10 * MINUTE, NOW + 6 * MINUTE)
    young_fleet(1)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert held() == 1
    assert the_hold().due_at == NOW + 10 * MINUTE + timedelta(seconds=30)
    bridge(NOW + 11 * MINUTE, NOW + 6 * MINUTE)
    work_off(NOW + 11 * MINUTE)
    assert held() == 0


@pytest.mark.parametrize("heard_at", [NOW + 9 * MINUTE + timedelta(seconds=31), None])
def test_p8_a_bridge_in_contact_or_never_yet_there_holds_nothing(heard_at: datetime | None) -> None:
    limit()
    bridge(heard_at)
    young_fleet(1)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert held() == 0


def test_p8_a_settle_time_of_0_is_the_default_outside_production_and_holds_nothing() -> None:
    bridge(NOW - DAY)
    young_fleet(1)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert (held(), going()) == (0, 1)


def test_p8_ends_of_periods_and_unlocks_pass_while_presence_settles() -> None:
    limit()
    bridge(NOW - DAY)
    fleet = expiring(2)
    advance_due_services(now=NOW)
    assert (held(), going()) == (0, 2)
    pay(fleet, at=NOW + MINUTE)
    assert fate(fleet) == ("PENDING", False)
    assert Command.objects.filter(kind="UNLOCK", hold=None).count() == 1


def test_p8_one_of_several_bridges_is_enough_and_rows_of_an_older_fleet_are_not() -> None:
    limit()
    bridge(NOW + 10 * MINUTE, name="amp-bridge-1of2")
    bridge(NOW, name="amp-bridge-2of2")
    bridge(NOW - DAY, name="amp-bridge", connected=False)
    young_fleet(1)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert held() == 1
    later = NOW + 20 * MINUTE
    bridge(later, name="amp-bridge-1of2")
    bridge(later, name="amp-bridge-2of2")
    work_off(later)
    assert held() == 0


def test_p8_what_settled_meets_the_brake_by_number() -> None:
    limit(least=10, percent=0)
    bridge(NOW - DAY)
    young_fleet(25)
    advance_due_services(now=NOW + 10 * MINUTE)
    assert held() == 25
    back = NOW + DAY
    bridge(back, back - HOUR)
    work_off(back)
    assert (held(), going()) == (15, 10)
    settled, many = LockHold.objects.order_by("id")
    assert (settled.status, many.status, many.reason, many.allowance) == ("OVER", "HOLDING", "TOO_MANY", 10)
    release_held_locks(hold=many, actor=ANN, now=back)
    work_off(back)
    assert held() == 0


def test_p8_a_person_may_release_before_presence_has_settled_and_no_other_brake_stops_it() -> None:
    limit(least=10, percent=0)
    bridge(NOW - DAY)
    young_fleet(25)
    advance_due_services(now=NOW + 10 * MINUTE)
    release_held_locks(hold=the_hold(), actor=ANN, now=NOW + 11 * MINUTE)
    work_off(NOW + 11 * MINUTE)
    assert (held(), going()) == (0, 25)


def test_p6_p8_a_trial_that_corrected_presence_shows_unfinished_is_over_all_the_same() -> None:
    """P6: late corrections never move a device back a state; its LOCK goes once presence has settled."""
    limit()
    bridge(NOW - DAY)
    fleet = young_fleet(1)
    advance_due_services(now=NOW + 10 * MINUTE)
    Presence.objects.update(open_since=None, is_online=False, counted=0)
    back = NOW + DAY
    bridge(back, back - HOUR)
    work_off(back)
    assert (service(fleet).state, fate(fleet)) == ("EXPIRED", ("PENDING", False))
