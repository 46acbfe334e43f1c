"""Rows that have served their time go, everything else stays, and every promise still holds (X5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from alerts.models import Notice
from amp.foundation import clock
from amp.foundation.appendonly import Permit, permitted
from amp.foundation.models import Event, Retention, SweepRun, User
from amp.foundation.services.retention import RetentionRefused, set_days_kept
from amp.retention.kinds import KINDS, forget
from amp.tasks import forget_old_rows
from devices.models import Command
from tests.factories import NOW, make_device, make_enterprise, make_product
from tests.services.outlived import DAY, KINDS_MADE, OLD, clear, command_of, event, notice_of, scope
from tests.stack.waiting import at_once, failures

__all__ = ["scope"]


@pytest.mark.parametrize("make", KINDS_MADE, ids=lambda make: make.__name__)
def test_what_is_over_goes_and_what_is_open_or_needed_stays_X5(make: Callable[..., Any]) -> None:
    made = list(make(make_device(make_product(now=OLD), now=OLD).device))
    clear()
    there = [(fate, type(row)._base_manager.filter(pk=row.pk).exists()) for fate, row in made]
    assert [fate for fate, is_there in there if is_there is not fate.startswith("stays")] == []


def test_every_kind_has_its_table_above() -> None:
    assert {make.__name__ for make in KINDS_MADE} | {"sessions", "admin_log"} == {kept.name for kept in KINDS}


def test_slices_of_any_size_delete_the_same_and_say_how_many_X5() -> None:
    device = make_device(make_product()).device
    for generation in range(1, 12):
        command_of(device, generation, OLD)
    clear(limit=3)
    assert list(Command.objects.values_list("generation", flat=True)) == [11]
    told = Event.objects.filter(kind="platform.rows_removed", after__rows="commands").values_list("after", flat=True)
    assert sum(each["number"] for each in told) == 10


def test_what_had_to_stay_is_looked_at_again_after_a_week() -> None:
    device = make_device(make_product()).device
    row = command_of(device, 1, OLD)
    clear()
    command_of(device, 2, NOW)
    clear()
    assert Command.objects.filter(pk=row.pk).exists()
    later = NOW + 7 * DAY
    forget(now=later, wall=later)
    assert not Command.objects.filter(pk=row.pk).exists()


def test_logins_that_have_ended_go() -> None:
    Session.objects.create(session_key="over", session_data="", expire_date=NOW - DAY)
    Session.objects.create(session_key="lasts", session_data="", expire_date=NOW + DAY)
    clear()
    assert list(Session.objects.values_list("pk", flat=True)) == ["lasts"]


def test_idle_is_a_probe_for_each_table_and_a_slice_costs_the_same_for_any_number_X5() -> None:
    device = make_device(make_product()).device
    clear()
    with CaptureQueriesContext(connection) as idle:
        forget(now=NOW, wall=NOW)
    assert len(idle) == 2 + len(KINDS), [each["sql"] for each in idle]
    costs = []
    for number in (3, 60):
        Retention.objects.all().delete()
        for _ in range(number):
            notice_of(device, OLD + DAY * Notice.objects.count() - DAY * 200 * len(costs), 7)
        with CaptureQueriesContext(connection) as counted:
            forget(now=NOW, wall=NOW)
        assert Notice.objects.count() == 0
        costs.append(len(counted))
    assert costs[0] == costs[1]
    assert all("OFFSET" not in each["sql"] for each in counted)


def test_kept_for_ever_means_so_and_no_time_falls_below_its_floor() -> None:
    kept = next(each for each in KINDS if each.name == "audit")
    with pytest.raises(RetentionRefused):
        set_days_kept(kept=kept, days=365, actor="root@example.com", now=NOW)
    row = event(OLD, "member.invited")
    set_days_kept(kept=kept, days=0, actor="root@example.com", now=NOW)
    clear()
    assert Event.objects.filter(pk=row.pk).exists()
    set_days_kept(kept=kept, days=366, actor="root@example.com", now=NOW)
    told = Event.objects.filter(kind="platform.configured").latest("id")
    assert (told.before, told.after) == ({"days_kept_audit": 0}, {"days_kept_audit": 366})
    clear()
    assert not Event.objects.filter(pk=row.pk).exists()


def test_the_database_lets_nobody_else_delete_or_change_an_event_F98() -> None:
    old, money, young = event(OLD, "member.invited"), event(OLD, "order.paid"), event(clock.wall(), "a.b")
    for row in (old, money, young):
        with pytest.raises(IntegrityError), transaction.atomic():
            Event.objects.filter(pk=row.pk).delete()
    for row in (money, young):
        with pytest.raises(IntegrityError), transaction.atomic(), permitted(Permit.RETENTION):
            Event.objects.filter(pk=row.pk).delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.filter(pk=old.pk).update(actor="x")
    for permit, change in [(Permit.RETENTION, {"actor": "x"}), (Permit.ERASURE, {"kind": "x"})]:
        with pytest.raises(IntegrityError), transaction.atomic(), permitted(permit):
            Event.objects.filter(pk=old.pk).update(**change)
    with transaction.atomic(), permitted(Permit.ERASURE):
        Event.objects.filter(pk=old.pk).update(actor="person")
    with transaction.atomic():
        with permitted(Permit.RETENTION):
            pass
        with pytest.raises(IntegrityError), transaction.atomic():
            Event.objects.filter(pk=old.pk).delete()


@pytest.mark.parametrize("table", ["devices_period", "billing_moneyentry", "devices_earlyend"])
def test_a_ledger_is_not_deleted_with_a_permit_either_R9(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(t.oid), p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE tgrelid = %s::regclass AND p.proname = 'amp_append_only'",
            [table],
        )
        [(trigger, source)] = cursor.fetchall()
    assert "BEFORE DELETE OR UPDATE" in trigger
    assert "amp." not in source


def test_nothing_but_retention_and_erasure_asks_for_a_permit() -> None:
    root = Path(__file__).parents[2]
    asking = re.compile(r"permitted\(|amp\.permit|amp_permit")
    found = {
        str(path.relative_to(root))
        for app in ("amp", "catalog", "devices", "billing", "alerts")
        for path in (root / app).rglob("*.py")
        if asking.search(path.read_text())
    }
    assert found <= {
        "amp/foundation/appendonly.py",
        "amp/foundation/services/retention_kinds.py",
        "amp/personal/erasing.py",
    }


@pytest.mark.django_db(transaction=True)
def test_two_jobs_at_once_delete_the_same_as_one_X5() -> None:
    device = make_device(make_product()).device
    for generation in range(1, 62):
        command_of(device, generation, OLD)
        notice_of(device, OLD + generation * DAY, 7)
    answers = at_once(*[lambda: clear(limit=7)] * 2)
    assert failures(answers) == []
    clear(limit=7)
    assert (Command.objects.count(), Notice.objects.count()) == (1, 0)
    told = Event.objects.filter(kind="platform.rows_removed").values_list("after", flat=True)
    numbers = {"commands": 0, "notices": 0}
    for each in told:
        numbers[each["rows"]] += each["number"]
    assert numbers == {"commands": 60, "notices": 61}


def test_the_sweep_is_on_the_schedule_and_on_the_record() -> None:
    event(OLD, "member.invited")
    forget_old_rows()
    assert SweepRun.objects.get(name="forget_old_rows").found >= 1
    assert User.objects.count() == 0
    make_enterprise()
