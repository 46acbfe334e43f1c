"""A service that our own code can't move on is tried five times, alone, then waits for a person (F15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.models import Event, SweepRun
from amp.foundation.services.sweeps import LONGEST_RUN
from devices import tasks
from devices.invariants import violations
from devices.models import DeviceService, StuckService
from devices.services import lifecycle, stuck
from devices.services.lifecycle import advance_due_services
from devices.services.registration import terminate_device
from devices.services.stuck import ATTEMPTS, RETRIES, retry_dead_services
from tests.services.fleet import Fleet, scope
from tests.services.trials import DAY, HOUR, MINUTE, NOW, pay, service, story, young_fleet

__all__ = ["scope"]

pytestmark = pytest.mark.django_db
POISON = 9
"""The life by which the rule knows the poisonous device."""


class Killed(BaseException):
    """The worker is gone in the middle: nothing after this line runs."""


@contextmanager
def poisonous(fleet: Fleet, index: int = 1, failure: type[BaseException] = ZeroDivisionError) -> Iterator[list[int]]:
    """The rule fails for one device; how many devices were decided together, each time it did."""
    honest_rule, honest_work, met = lifecycle.due_transition, lifecycle._advance_all, []

    def explode(facts: Any, terms: Any, now: Any) -> Any:
        if facts.life == POISON:
            raise failure
        return honest_rule(facts, terms, now)

    def work(rows: Any, now: Any) -> int:
        if any(row.life == POISON for row in rows):
            met.append(len(rows))
        return honest_work(rows, now)

    DeviceService.objects.filter(pk=fleet.ids[index]).update(life=POISON)
    with patch.object(lifecycle, "due_transition", explode), patch.object(lifecycle, "_advance_all", work):
        yield met


def until_dead(fleet: Fleet, index: int = 1, *, now: datetime = NOW + HOUR) -> datetime:
    """Sweep at each moment at which the device is due again; when the last attempt was."""
    for _attempt in range(ATTEMPTS):
        advance_due_services(now=now)
        due_at = service(fleet, index).due_at
        if due_at is None:
            return now
        now = due_at
    raise AssertionError("It is tried for ever.")


def kinds(fleet: Fleet, index: int = 1) -> list[str]:
    return [kind for kind, _at in story(fleet, index)]


def retried(ids: list[int], *, at: datetime) -> int:
    return retry_dead_services(device_ids=ids, actor="ann@example.com", now=at)


def test_after_five_attempts_it_is_dead_with_one_event_and_the_others_go_on_F15() -> None:
    fleet = young_fleet(3)
    with poisonous(fleet) as met:
        last = until_dead(fleet)
        assert last == NOW + HOUR + sum(RETRIES, timedelta())
        row = StuckService.objects.get()
        assert (row.device_id, row.attempts, row.dead_at) == (fleet.ids[1], ATTEMPTS, last)
        assert row.problem.startswith("ZeroDivisionError")
        assert kinds(fleet) == ["stuck"]
        for later in range(3):
            advance_due_services(now=last + (later + 1) * DAY)
    assert met[-ATTEMPTS + 1 :] == [1] * (ATTEMPTS - 1), "after the first failure it endangers nobody else's slice"
    assert [service(fleet, index).state for index in range(3)] == ["EXPIRED", "PENDING", "EXPIRED"]
    assert kinds(fleet) == ["stuck"], "no flood"
    assert violations(now=last + DAY) == []


def test_one_click_has_a_dead_service_tried_again_F15() -> None:
    fleet = young_fleet(3)
    with poisonous(fleet):
        last = until_dead(fleet)
        assert retried(fleet.ids[:1], at=last + HOUR) == 0
        assert retried(fleet.ids, at=last + HOUR) == 1
        assert until_dead(fleet, now=last + HOUR) == last + HOUR + sum(RETRIES, timedelta())
        assert retried(fleet.ids, at=last + DAY) == 1
    advance_due_services(now=last + DAY)  # our code is mended
    assert service(fleet, 1).state == "EXPIRED"
    assert not StuckService.objects.exists()
    assert kinds(fleet) == ["stuck", "retried", "stuck", "retried", "trial_started", "expired"]
    assert Event.objects.filter(kind="device_service.retried", actor="ann@example.com").count() == 2


def test_what_makes_a_dead_service_due_again_does_not_wake_it_F15() -> None:
    """Its presence goes on, and asks for a moment: that is noted as never, without an attempt or an event."""
    fleet = young_fleet(2)
    with poisonous(fleet) as met:
        last = until_dead(fleet)
        attempts = len(met)
        DeviceService.objects.filter(pk=fleet.ids[1]).update(due_at=last + MINUTE)
        advance_due_services(now=last + HOUR)
        assert (service(fleet, 1).due_at, len(met), kinds(fleet)) == (None, attempts, ["stuck"])


def test_a_failure_that_goes_by_itself_is_forgotten_F15() -> None:
    fleet = young_fleet(2)
    with poisonous(fleet):
        advance_due_services(now=NOW + HOUR)
        assert StuckService.objects.get().attempts == 1
    advance_due_services(now=NOW + 2 * HOUR)
    assert service(fleet, 1).state == "EXPIRED"
    assert not StuckService.objects.exists()


@pytest.mark.parametrize("change", ["renewal", "end"])
def test_a_dead_service_that_is_renewed_or_ended_waits_for_nobody_F15(change: str) -> None:
    fleet = young_fleet(2)
    with poisonous(fleet):
        last = until_dead(fleet)
    if change == "renewal":
        pay(fleet, at=last + HOUR, index=1)
    else:
        terminate_device(device=service(fleet, 1).device, actor="ann", now=last + HOUR)
    assert not StuckService.objects.exists()


def test_the_counter_costs_a_sound_slice_nothing_F15() -> None:
    """Statements of a slice in which nothing is stuck: none of them is about the counter but the first look."""
    fleet = young_fleet(20)
    with CaptureQueriesContext(connection) as queries:
        advance_due_services(now=NOW + HOUR)
    about = [query["sql"] for query in queries if "stuckservice" in query["sql"]]
    assert len(about) == 1
    assert about[0].startswith("SELECT EXISTS")
    assert service(fleet, 3).state == "EXPIRED"


class Machine:
    """Workers that run the sweep, one after the other, each killed where the poison is met."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.deaths = NOW + HOUR, 0
        monkeypatch.setattr(clock, "now", lambda: self.at)
        monkeypatch.setattr(clock, "wall", lambda: self.at)

    def run(self, until: Callable[[], bool], *, every: timedelta = timedelta(seconds=20), times: int = 600) -> None:
        for _run in range(times):
            try:
                tasks.advance_due_services()
            except Killed:
                self.deaths += 1
            if until():
                return
            self.at += every
        raise AssertionError(f"Nothing comes of it; {self.deaths} workers died.")


def test_a_service_that_kills_its_worker_is_counted_before_and_ends_dead_F15(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, machine = young_fleet(5), Machine(monkeypatch)
    DeviceService.objects.filter(pk=fleet.ids[1]).update(due_at=NOW - DAY)  # first in every slice
    with poisonous(fleet, failure=Killed):
        machine.run(lambda: service(fleet, 1).due_at is None)
    row = StuckService.objects.get()
    assert (row.attempts, row.problem, row.dead_at is not None) == (ATTEMPTS, stuck.NO_ANSWER, True)
    assert kinds(fleet) == ["stuck"]
    assert {service(fleet, index).state for index in (0, 2, 3, 4)} == {"EXPIRED"}
    assert machine.deaths <= ATTEMPTS + 5, "a few whole slices within the first minute, then one death an attempt"


def test_without_the_count_before_the_work_such_a_service_stops_everybody_for_ever_F15(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: whole slices only, as before."""
    fleet, machine = young_fleet(3), Machine(monkeypatch)
    DeviceService.objects.filter(pk=fleet.ids[1]).update(due_at=NOW - DAY)
    monkeypatch.setattr("amp.foundation.services.sweeps.LONGEST_RUN", timedelta(days=999))
    with poisonous(fleet, failure=Killed), pytest.raises(AssertionError, match="Nothing comes of it"):
        machine.run(lambda: service(fleet, 0).state != "PENDING", times=30)


def test_runs_that_end_are_no_deaths_however_they_overlap_F15(monkeypatch: pytest.MonkeyPatch) -> None:
    young_fleet(1)
    machine = Machine(monkeypatch)
    seen: list[bool] = []
    monkeypatch.setattr(lifecycle, "advance_one_by_one", lambda **_: seen.append(True) or 0)
    SweepRun.objects.create(
        name="advance_due_services", started_at=machine.at, unfinished_since=machine.at - LONGEST_RUN
    )
    tasks.advance_due_services()
    assert seen == [], "not longer than one may take"
    assert SweepRun.objects.get().unfinished_since is None
    SweepRun.objects.update(unfinished_since=machine.at - LONGEST_RUN - timedelta(seconds=1))
    tasks.advance_due_services()
    assert seen == [True]
    tasks.advance_due_services()
    assert seen == [True], "once it came to its end, whole slices again"
