"""Years of devices grow old and go: the audit finds nothing, and what is needed is still there (X5, R9, N4)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection, models

from alerts import invariants as alerts
from alerts.models import Notice
from amp.foundation.invariants import Violation
from amp.foundation.models import Event
from amp.retention.kinds import forget
from billing import invariants as billing
from devices import invariants as devices
from devices.models import Command, DeviceService, Presence, PresenceSession
from devices.online_time import Kind, PresenceEvent
from devices.services.dispatch import close_stale
from devices.services.lifecycle import advance_due_services
from devices.services.presence import Heard
from devices.transports.recorded import RecordedTransport
from tests.services.announcing import DAY, Fleet, hear, make_fleet, rows, sweep, switch
from tests.services.dispatching import transport
from tests.services.fleet import scope
from tests.talking_devices import record

__all__ = ["scope", "transport"]
HOUR = timedelta(hours=1)
LATER = timedelta(days=4_000)


def violations(now: datetime) -> list[Violation]:
    return [*devices.violations(now=now), *billing.violations(), *alerts.violations(now=now)]


def grow_old() -> None:
    """Events as of long ago, for the database compares them with its own clock."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE foundation_event DISABLE TRIGGER USER")
        cursor.execute("UPDATE foundation_event SET noticed_at = noticed_at - interval '4000 days'")
        cursor.execute("ALTER TABLE foundation_event ENABLE TRIGGER USER")


def go_online(fleet: Fleet, session: str, at: datetime, *, until: datetime | None) -> None:
    events = [PresenceEvent(Kind.ONLINE, session, at)]
    if until is not None:
        events.append(PresenceEvent(Kind.OFFLINE, session, until))
    record([Heard(pk, event) for pk in fleet.ids for event in events], now=until or at)


def three_years(fleet: Fleet, transport: RecordedTransport) -> datetime:
    """Sessions, notices, ends, locks, renewals; when the last of it was."""
    for year in range(3):
        for week in range(4):
            since = fleet.end() - (60 - week) * DAY
            go_online(fleet, f"{year}-{week}", since, until=since + 3 * HOUR)
            if week == 1:  # a take-over: two sessions that touch
                go_online(fleet, f"{year}-{week}b", since + 3 * HOUR, until=since + 4 * HOUR)
        go_online(fleet, f"{year}", fleet.end() - 40 * DAY, until=None)
        for before in (30, 7, 1):
            hear(fleet.end() - before * DAY, transport)
        end = fleet.end()
        advance_due_services(now=end)
        hear(end, transport)
        fleet.renew(f"year{year}", now=end + DAY)
        hear(end + DAY, transport)
    return end + DAY


@pytest.mark.django_db
def test_the_audit_finds_nothing_before_and_after_and_nothing_is_told_again(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet(2)
    now = three_years(fleet, transport)
    close_stale(now=now)
    grow_old()
    assert violations(now) == []
    counted = dict(Presence.objects.values_list("pk", "counted"))
    before = {model: model._base_manager.count() for model in (Event, Command, PresenceSession, Notice)}
    while forget(now=now + LATER, wall=now + LATER, limit=3) >= 3:
        assert violations(now) == []
    after = {model: model._base_manager.count() for model in before}
    assert all(after[model] < before[model] for model in before), (before, after)
    assert dict(Presence.objects.values_list("pk", "counted")) == counted
    assert Presence.objects.filter(forgotten__gt=0).count() == 2
    assert sweep(now, transport) == [], "nothing is told again"
    assert rows(ends_at__lt=now) == []

    generation = dict(DeviceService.objects.values_list("pk", "generation"))
    advance_due_services(now=fleet.end())
    told = dict(Command.objects.filter(slot="LOCK").values_list("device").annotate(models.Max("generation")))
    assert told == {pk: number + 1 for pk, number in generation.items()}, "generations go on"
    hear(fleet.end(), transport)
    assert violations(fleet.end()) == []
