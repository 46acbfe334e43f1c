"""Pages of operations: ages first, schedules changed within bounds and on the record, for the platform (X10)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks

from amp.alarms.facts import read_facts
from amp.alarms.rules import Kind, alarms
from amp.foundation import clock
from amp.foundation.models import Enterprise, Event, Role, SweepRun
from amp.foundation.scoping import system_scope
from amp.foundation.services.sweeps import REMEMBERED, sweep_run
from amp.operations.schedules import ScheduleRefused, change_schedule, run_now
from amp.queue_settings import CELERY_TASK_ROUTES, DEFAULT, URGENT
from amp.schedule import defaults, make_schedule, scheduled
from devices.models import DeviceService
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product

pytestmark = pytest.mark.django_db
PAGE = "/admin/operations/"
ADVANCE = "devices.tasks.advance_due_services"
DISPATCH = "devices.tasks.dispatch_commands"


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(make_member(make_enterprise("Platform"), Role.PLATFORM_ADMINISTRATOR, email="root@example.com"))
    return client


def row(task: str) -> PeriodicTask:
    return PeriodicTask.objects.select_related("interval").get(task=task)


def change(task: str, seconds: int | None, *, enabled: bool = True, typed: str = "") -> bool:
    return change_schedule(
        pk=row(task).pk, seconds=seconds, enabled=enabled, typed=typed, actor="root@example.com", now=NOW
    )


def stale(name: str, task: str) -> None:
    at = clock.wall() - timedelta(days=3)
    SweepRun.objects.create(name=name, task=task, started_at=at, finished_at=at)


def test_the_first_figures_are_ages_of_sweeps_and_of_the_oldest_due_work_X10(root: Client) -> None:
    stale("advance_due_services", ADVANCE)
    device = make_device(make_product()).device
    DeviceService.objects.filter(pk=device.pk).update(due_at=clock.now() - timedelta(minutes=2))
    ages = {age.title: age for age in root.get(PAGE).context["ages"]}
    assert next(iter(ages)) == "Sweep furthest behind"
    assert ages["Sweep furthest behind"].note == "advance_due_services"
    assert (ages["Sweep furthest behind"].tone, ages["Device services"].tone) == ("red", "amber")
    assert 120 <= ages["Device services"].seconds < 180
    assert ages["Refunds"].seconds is None
    page = root.get(PAGE).content.decode()
    assert page.index("Sweep furthest behind") < page.index("Product time") < page.index("Rows found")


def test_a_sweep_that_left_the_schedule_is_shown_and_never_late_F13(root: Client) -> None:
    stale("advance_due_services", ADVANCE)
    stale("count_ships", "devices.tasks.count_ships")
    stale("of_before_the_upgrade", "")
    words = {line.run.name: line.word for line in root.get(PAGE).context["sweeps"]}
    assert words == {
        "advance_due_services": "Late",
        "count_ships": "Off the schedule",
        "of_before_the_upgrade": "Off the schedule",
    }
    found = alarms(read_facts(now=clock.now()), now=clock.now(), wall=clock.wall())
    assert [alarm.subject for alarm in found if alarm.kind is Kind.SWEEP_LATE] == ["advance_due_services"]


def test_a_sweep_is_late_by_its_own_interval(root: Client) -> None:
    at = clock.wall() - timedelta(hours=2)
    SweepRun.objects.create(name="forget_answers", task="amp.foundation.tasks.forget_answers", started_at=at)
    assert [line.word for line in root.get(PAGE).context["sweeps"]] == ["On time"]
    change("amp.foundation.tasks.forget_answers", 600)
    assert [line.word for line in root.get(PAGE).context["sweeps"]] == ["Late"]


def test_the_last_runs_that_found_something_or_failed_are_kept(root: Client) -> None:
    at = NOW
    for number in range(REMEMBERED + 5):
        for found in (0, number + 1):
            with sweep_run("fulfil", wall=lambda at=at: at, task="billing.tasks.fulfil_paid_orders") as run:
                run.found = found
            at += timedelta(seconds=3)
    with pytest.raises(ZeroDivisionError), sweep_run("fulfil", wall=lambda: at):
        raise ZeroDivisionError("by nothing")
    kept = SweepRun.objects.get().recent
    assert len(kept) == REMEMBERED
    assert kept[0]["failed_because"] == "ZeroDivisionError: by nothing"
    assert [line["found"] for line in kept[1:4]] == [25, 24, 23]
    page = root.get(f"{PAGE}sweeps/fulfil/").content.decode()
    assert "by nothing" in page
    assert root.get(f"{PAGE}sweeps/unknown/").status_code == 404


def test_remembering_costs_a_sweep_no_further_query() -> None:
    with sweep_run("a", wall=lambda: NOW):
        pass
    with CaptureQueriesContext(connection) as queries, sweep_run("a", wall=lambda: NOW) as run:
        run.found = 3
    assert len(queries) == 3  # begin, look for deaths, finish


def test_a_change_is_stored_on_the_record_and_told_to_beat(root: Client) -> None:
    PeriodicTasks.objects.all().delete()
    address = f"{PAGE}schedules/{row(ADVANCE).pk}/"
    answer = root.post(address, {"seconds": "45", "enabled": "on"}, follow=True)
    assert "The schedule was changed." in answer.content.decode()
    assert (row(ADVANCE).interval.every, row(ADVANCE).expire_seconds) == (45, 135)
    assert PeriodicTasks.last_change() is not None, "beat rereads its rows when this moves"
    event = Event.objects.get(kind="schedule.changed")
    assert (event.actor, event.why, event.after) == ("root@example.com", ADVANCE, {"enabled": True, "seconds": 45})
    assert (
        "Nothing was changed." in root.post(address, {"seconds": "45", "enabled": "on"}, follow=True).content.decode()
    )
    make_schedule()
    assert row(ADVANCE).interval.every == 45, "defaults never overwrite"
    for seconds in (45, 20):  # a switch alone, and an interval whose row exists already
        PeriodicTasks.objects.all().delete()
        change(ADVANCE, seconds, enabled=seconds != 45, typed="advance_due_services")
        assert PeriodicTasks.last_change() is not None


@pytest.mark.parametrize(
    ("task", "seconds", "enabled", "promise"),
    [
        (ADVANCE, 61, True, "at most 90 s after its service ended"),
        (ADVANCE, 20, False, "nobody keeps this promise"),
        (DISPATCH, 6, True, "Above 5 s"),
    ],
)
def test_what_breaks_a_promise_names_it_and_wants_the_tasks_name(
    root: Client, task: str, seconds: int, enabled: bool, promise: str
) -> None:
    form = {"seconds": str(seconds), **({"enabled": "on"} if enabled else {})}
    address = f"{PAGE}schedules/{row(task).pk}/"
    before = scheduled()
    for typed in ("", "yes", task):
        page = root.post(address, form | {"typed": typed})
        assert page.status_code == 200
        assert promise in page.content.decode()
    assert (scheduled(), Event.objects.filter(kind="schedule.changed").count()) == (before, 0)
    assert root.post(address, form | {"typed": task.rpartition(".")[2]}).status_code == 302
    assert scheduled() != before
    assert promise in root.get(f"{PAGE}schedules/").content.decode(), "the list goes on warning"


def test_a_vital_task_that_is_off_is_an_alarm(root: Client) -> None:
    change(DISPATCH, None, enabled=False, typed="dispatch_commands")
    found = alarms(read_facts(now=NOW), now=NOW, wall=clock.wall())
    assert [(alarm.kind, alarm.subject) for alarm in found] == [(Kind.SWEEP_OFF, DISPATCH)]
    assert "is switched off in the schedule" in root.get(PAGE).content.decode()


@pytest.mark.parametrize("seconds", [0, -1, 86_401, 10**30])
def test_any_interval_has_bounds(root: Client, seconds: int) -> None:
    with pytest.raises(ScheduleRefused):
        change("devices.tasks.count_devices", seconds)
    address = f"{PAGE}schedules/{row(ADVANCE).pk}/"
    assert root.post(address, {"seconds": str(seconds), "enabled": "on"}).status_code == 200
    assert not Event.objects.filter(kind="schedule.changed").exists()


def test_a_task_that_nobody_knows_is_shown_and_can_be_switched_off(root: Client) -> None:
    minute = CrontabSchedule.objects.create(minute="5")
    old = PeriodicTask.objects.create(name="Of an earlier version", task="devices.tasks.count_ships", crontab=minute)
    page = root.get(f"{PAGE}schedules/").content.decode()
    assert "Of an earlier version" in page
    assert "No worker of this version knows this task" in page
    with pytest.raises(ScheduleRefused):
        run_now(pk=old.pk, actor="root", now=NOW)
    assert root.post(f"{PAGE}schedules/{old.pk}/", {}).status_code == 302
    assert not PeriodicTask.objects.get(pk=old.pk).enabled
    assert PeriodicTask.objects.get(pk=old.pk).crontab_id == minute.pk


def test_run_now_wakes_the_task_and_is_on_the_record(
    root: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from amp.foundation import wakeups

    woken: list[str] = []
    monkeypatch.setattr(wakeups.current_app, "send_task", lambda task, **_: woken.append(task))
    with django_capture_on_commit_callbacks(execute=True):
        answer = root.post(f"{PAGE}schedules/{row(ADVANCE).pk}/run/", follow=True)
    assert "The task was woken" in answer.content.decode()
    assert woken == [ADVANCE]
    assert Event.objects.get(kind="schedule.run").why == ADVANCE
    assert root.post(f"{PAGE}schedules/999999/run/").status_code == 404
    assert root.get(f"{PAGE}schedules/{row(ADVANCE).pk}/run/").status_code == 405


def test_what_is_urgent_is_on_the_schedule_and_goes_to_its_own_queue() -> None:
    """A task that was renamed would fall back among those that wait for others."""
    tasks = {beat.task for beat in defaults()}
    assert tasks > CELERY_TASK_ROUTES.keys()
    queues = {task: current_app.amqp.router.route({}, task)["queue"].name for task in tasks}
    assert {task for task, queue in queues.items() if queue == URGENT} == CELERY_TASK_ROUTES.keys()
    assert set(queues.values()) == {DEFAULT, URGENT}


def test_what_is_published_by_a_routing_key_goes_to_one_queue(redis_server: Any) -> None:
    """As a row of the schedule may say."""
    client = redis_server.client(0)
    client.delete(DEFAULT, URGENT)
    with current_app.connection_for_write() as broker:
        for queue in current_app.amqp.queues.values():
            queue(broker.default_channel).declare()  # as a worker does that takes both
    for key in (DEFAULT, URGENT, URGENT):
        current_app.send_task("amp.foundation.tasks.beat_heart", exchange=DEFAULT, routing_key=key)
    assert (client.llen(DEFAULT), client.llen(URGENT)) == (1, 2)
    client.delete(DEFAULT, URGENT)


def test_queues_tell_their_length_and_that_redis_is_down(
    root: Client, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amp.operations import pages
    from amp.operations.queues import read_queues

    client = redis_server.client(0)
    client.delete("celery", "urgent")
    assert [tuple(queue) for queue in read_queues(NOW)] == [("celery", 0, None), ("urgent", 0, None)]
    old = NOW - timedelta(seconds=75)
    client.lpush("celery", "{}", "[]")
    client.lpush("celery", "not json")
    client.rpush("celery", f'{{"headers": {{"amp_sent_at": "{old.isoformat()}"}}}}')
    assert [tuple(queue) for queue in read_queues(NOW)] == [("celery", 4, 75.0), ("urgent", 0, None)]
    client.delete("celery")
    monkeypatch.setattr(pages, "read_workers", list)
    assert "No worker answered" in root.get(f"{PAGE}queues/").content.decode()

    def fail(*_: Any) -> None:
        raise ConnectionError("redis://:secret@host")

    monkeypatch.setattr(pages, "read_queues", fail)
    page = root.get(f"{PAGE}queues/")
    assert page.status_code == 200
    assert "Redis is down" in page.content.decode()
    assert "secret" not in page.content.decode()


def test_pages_cost_the_same_however_much_there_is(root: Client) -> None:
    numbers = []
    for step in range(2):
        costs = []
        for path in (PAGE, f"{PAGE}schedules/"):
            root.get(path)
            with CaptureQueriesContext(connection) as queries:
                root.get(path)
            costs.append(len(queries))
        numbers.append(costs)
        for number in range(10):
            stale(f"sweep{step}{number}", ADVANCE)
            PeriodicTask.objects.create(name=f"More {step}{number}", task=ADVANCE, interval=row(DISPATCH).interval)
    assert numbers[0] == numbers[1]
    assert numbers[0] == [45, 6]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMINISTRATOR])
def test_all_of_it_is_for_the_platforms_administrators_alone_X2(role: Role) -> None:
    client, pk = Client(), row(DISPATCH).pk
    client.force_login(make_member(make_enterprise("Pumps"), role))
    stale("a", ADVANCE)
    for path in ("", "queues/", "schedules/", f"schedules/{pk}/", "sweeps/a/"):
        assert client.get(PAGE + path).status_code == 403
    for path in (f"schedules/{pk}/", f"schedules/{pk}/run/"):
        assert client.post(PAGE + path, {"enabled": "", "typed": "dispatch_commands"}).status_code == 403
    assert row(DISPATCH).enabled
    assert Enterprise.objects.exists()


def test_the_librarys_own_screens_of_schedules_are_not_reachable(root: Client) -> None:
    assert root.get("/admin/django_celery_beat/periodictask/").status_code == 404
    assert not [name for name in get_resolver().reverse_dict if "periodictask" in str(name)]
