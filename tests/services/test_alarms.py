"""Alarms from their beginning to their end: noted once, mailed once each way, shown to platform staff (P8, A11)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp import health
from amp.alarms import watch as watching
from amp.alarms.facts import read_facts
from amp.alarms.rules import QUIET, Kind
from amp.alarms.watch import ATTEMPTS, open_alarms, tell_due, watch
from amp.foundation.models import AlarmRow, Role, SweepRun, User
from amp.foundation.scoping import system_scope
from devices.models import Bridge, Command, StuckService
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import release_held_locks
from tests.factories import make_enterprise, make_member
from tests.services.braking import expiring, limit, the_hold
from tests.services.fleet import NOW
from tests.services.trials import HOUR, MINUTE, free_year, young_fleet

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def root() -> User:
    return make_member(make_enterprise("Platform"), Role.PLATFORM_ADMINISTRATOR, email="root@example.com")


def look(at: datetime) -> int:
    return watch(now=at, wall=at)


def away(since: datetime = NOW - HOUR) -> None:
    Bridge.objects.update_or_create(name="amp-bridge", defaults={"heard_at": since})


def brake_on() -> None:
    limit(settle=0, least=1, percent=0)
    expiring(4)
    advance_due_services(now=NOW)


def test_p8_a_brake_that_comes_on_is_one_row_and_one_mail_however_often_it_is_seen(root: User) -> None:
    make_member(make_enterprise("Pumps"), Role.ENTERPRISE_ADMINISTRATOR)
    brake_on()
    for minute in range(5):
        assert look(NOW + minute * MINUTE) == 1
    [row] = AlarmRow.objects.all()
    assert (row.kind, row.subject, row.number, row.told, row.due_at) == ("locks_held", "Maker", 3, "BEGUN", None)
    [sent] = mail.outbox
    assert sent.to == ["root@example.com"], "platform administrators alone"
    assert "3 locks of Maker are held until somebody confirms them." in sent.subject
    assert "/admin/devices/held_locks/" in sent.body


def test_p8_its_end_is_mailed_once_after_some_quiet_minutes(root: User) -> None:
    brake_on()
    look(NOW)
    Command.objects.filter(hold=None).update(due_at=None)  # its device is offline
    release_held_locks(hold=the_hold(), actor="ann", now=NOW + MINUTE)
    look(NOW + 2 * MINUTE)
    assert AlarmRow.objects.get().cleared_at is None
    for minute in range(3):
        look(NOW + QUIET + minute * MINUTE)
    row = AlarmRow.objects.get()
    assert (row.cleared_at, row.told) == (NOW + QUIET, "CLEARED")
    assert len(mail.outbox) == 2
    assert "This is over" in mail.outbox[1].body
    assert open_alarms() == []


def test_what_comes_and_goes_is_one_alarm_and_one_mail(root: User) -> None:
    for minute in range(20):
        away(NOW + minute * MINUTE - (HOUR if minute % 2 else MINUTE / 3))
        look(NOW + minute * MINUTE)
    assert len(mail.outbox) == 1
    assert AlarmRow.objects.count() == 1


def test_a_hundred_alarms_at_once_are_one_mail_a_person(root: User) -> None:
    make_member(make_enterprise("Second"), Role.PLATFORM_ADMINISTRATOR, email="second@example.com")
    for number in range(40):
        SweepRun.objects.create(name=f"sweep{number}", started_at=NOW - HOUR, task="amp.tasks.watch_alarms")
    assert look(NOW) == 40
    assert sorted(sent.to[0] for sent in mail.outbox) == ["root@example.com", "second@example.com"]
    assert "(40 alarms)" in mail.outbox[0].subject


def test_each_person_reads_it_in_their_language(root: User) -> None:
    User.objects.update(language="zh-hans")
    brake_on()
    look(NOW)
    assert "Maker" in mail.outbox[0].subject
    assert "are held until" not in mail.outbox[0].subject


def test_a_mail_server_that_is_away_is_tried_again_then_given_up(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(watching, "send_mail", lambda **told: tried.append(told["to"]) or "SMTPServerDisconnected")
    away()
    look(NOW)
    assert AlarmRow.objects.get().told == ""
    for later in range(1, 30):
        tell_due(now=NOW + later * MINUTE)
    row = AlarmRow.objects.get()
    assert (len(tried), row.due_at, row.told, row.problem) == (ATTEMPTS, None, "", "SMTPServerDisconnected")


def test_the_attempt_is_counted_before_the_mail_leaves_F15(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(**_told: object) -> str:
        raise Killed

    monkeypatch.setattr(watching, "send_mail", die)
    away()
    with pytest.raises(Killed):
        look(NOW)
    row = AlarmRow.objects.get()
    assert (row.attempts, row.told) == (1, "")
    assert row.due_at > NOW


def test_nobody_is_told_of_the_end_who_was_not_told_of_the_beginning() -> None:
    away()
    look(NOW)
    away(NOW + HOUR)
    look(NOW + HOUR)
    row = AlarmRow.objects.get()
    assert (row.cleared_at, row.due_at, mail.outbox) == (NOW + HOUR, None, [])


def test_the_database_keeps_one_open_row_of_an_alarm() -> None:
    away()
    look(NOW)
    row = AlarmRow.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


def test_a11_trials_that_are_kept_raise_an_alarm() -> None:
    fleet = young_fleet(2)
    fleet.save_rule(auto_subscribe=True, auto_plan=free_year(fleet, status="WITHDRAWN"))
    advance_due_services(now=NOW + HOUR)
    look(NOW + HOUR)
    [alarm] = open_alarms()
    assert (alarm.kind, alarm.number, alarm.since) == (Kind.PLAN_CANT_START, 2, NOW + HOUR)


def test_f15_dead_rows_raise_an_alarm() -> None:
    fleet = young_fleet(1)
    StuckService.objects.create(pk=fleet.ids[0], attempts=5, attempted_at=NOW, dead_at=NOW)
    look(NOW)
    assert [(alarm.kind, alarm.subject, alarm.number) for alarm in open_alarms()] == [(Kind.DEAD_ROWS, "services", 1)]


def test_facts_cost_the_same_however_much_there_is() -> None:
    brake_on()
    numbers = []
    for _round in range(2):
        with CaptureQueriesContext(connection) as queries:
            read_facts(now=NOW)
        numbers.append(len(queries))
        if not _round:
            for number in range(20):
                SweepRun.objects.create(name=f"sweep{number}", started_at=NOW - HOUR, task="amp.tasks.watch_alarms")
    assert numbers[0] == numbers[1]
    assert numbers[0] <= 19  # one for each kind of work that may be given up, and what the alarms read besides


def test_platform_staff_see_alarms_on_both_pages_and_others_do_not(root: User) -> None:
    away()
    look(NOW)
    client = Client()
    client.force_login(root)
    sentence = "The bridge amp-bridge is out of contact"
    assert sentence in client.get("/admin/").content.decode()
    assert sentence in client.get("/admin/operations/").content.decode()
    other = Client()
    other.force_login(make_member(make_enterprise("Pumps"), Role.ENTERPRISE_ADMINISTRATOR))
    assert sentence not in other.get("/admin/").content.decode()
    assert health._figures(NOW)["open_alarms"] == 1
