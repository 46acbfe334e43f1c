"""Sweeps and people at the same brake at the same time (P8): the count of an enterprise is held by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

import pytest

from devices.invariants import violations
from devices.models import Command, HoldStatus, LockCount, LockHold
from devices.services import lock_brakes
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import HoldNotDecided, cancel_held_locks, release_held_locks, work_off_holds
from tests.services.braking import end_at, expiring, going, held, limit
from tests.services.fleet import NOW, scope
from tests.services.trials import HOUR
from tests.stack.waiting import at_once, failures

__all__ = ["scope"]
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def met(parties: int = 2) -> Iterator[None]:
    """Everybody has read the count before anybody writes it, where nothing keeps them apart."""
    barrier, honest = threading.Barrier(parties), lock_brakes.let_through

    def wait_for_all(*args: object, **kwargs: object) -> object:
        with suppress(threading.BrokenBarrierError):  # somebody is kept waiting by the lock: as it should be
            barrier.wait(2)
        return honest(*args, **kwargs)  # type: ignore[arg-type]

    with patch.object(lock_brakes, "let_through", wait_for_all):
        yield


def two_sweeps() -> None:
    with met():
        at_once(*[lambda: advance_due_services(now=NOW, limit=8)] * 2)


def test_p8_two_sweeps_at_once_do_not_both_pass_the_limit() -> None:
    limit(settle=0, least=10, percent=0)
    expiring(16)
    two_sweeps()
    assert (going(), held()) == (10, 6)
    assert LockHold.objects.count() == 1
    assert violations(now=NOW) == []


def test_p8_without_the_lock_on_the_count_they_do() -> None:
    """The control: the same race, with the count read and not held."""
    limit(settle=0, least=10, percent=0)
    fleet = expiring(17)
    end_at(fleet.ids[1:], NOW + HOUR)
    advance_due_services(now=NOW)  # the enterprise has its count
    end_at(fleet.ids[1:], NOW)

    def unlocked(enterprise_ids: object) -> dict[int, dict[int, int]]:
        rows = LockCount.objects.values_list("pk", "minutes")
        return {pk: {int(minute): number for minute, number in minutes.items()} for pk, minutes in rows}

    with patch.object(lock_brakes, "_locked", unlocked):
        two_sweeps()
    assert going() == 17, "8 and 8 both fitted beside the first one"


def test_p8_a_lock_ordered_while_a_person_releases_is_never_held_for_ever() -> None:
    """It joins the hold before the decision and leaves with it, or meets the brake anew after it."""
    limit(settle=0, least=5, percent=0)
    fleet = expiring(40)
    end_at(fleet.ids[10:], NOW + HOUR)
    advance_due_services(now=NOW)
    hold = LockHold.objects.get()
    end_at(fleet.ids[10:], NOW)
    done = at_once(
        lambda: advance_due_services(now=NOW, limit=30),
        lambda: release_held_locks(hold=hold, actor="ann", now=NOW),
        lambda: [work_off_holds(now=NOW, limit=3) for _ in range(20)],
    )
    assert failures(done) == []
    while work_off_holds(now=NOW + HOUR):
        pass
    assert violations(now=NOW) == []
    lost = Command.objects.filter(hold__isnull=False).exclude(hold__status=HoldStatus.HOLDING.value)
    assert not lost.exists()
    assert Command.objects.count() == 40


def test_p8_of_two_people_one_decides() -> None:
    limit(settle=0, least=5, percent=0)
    expiring(10)
    advance_due_services(now=NOW)
    hold, outcomes = LockHold.objects.get(), []

    def decide(how: Callable[..., int]) -> None:
        try:
            how(hold=hold, actor="ann", now=NOW)
            outcomes.append("done")
        except HoldNotDecided:
            outcomes.append("refused")

    at_once(lambda: decide(release_held_locks), lambda: decide(cancel_held_locks))
    assert sorted(outcomes) == ["done", "refused"]
