"""One open command for each device, however many workers dispatch (F12, F21)."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from amp.foundation.scoping import system_scope
from devices.models import Command
from devices.services import dispatch
from devices.services.dispatch import claim
from tests.services.fleet import LOCK, NOW, Fleet, make_fleet, scope

__all__ = ["scope"]
pytestmark = pytest.mark.django_db


# --- the database refuses ---------------------------------------------------------------------------------------------


def two_open_at_once(fleet: Fleet, status: str) -> None:
    [lock] = fleet.tell(LOCK)
    Command.objects.filter(pk=lock.pk).update(status=status)
    lock.pk, lock.generation = None, 99
    lock.ticket = "00000000-0000-4000-8000-000000000000"
    lock.status = status
    with transaction.atomic():
        lock.save(force_insert=True)


@pytest.mark.parametrize("status", ["PENDING", "SENT"])
def test_the_database_refuses_a_second_open_command(status: str) -> None:
    """F21."""
    with pytest.raises(IntegrityError):
        two_open_at_once(make_fleet(), status)


def test_without_its_partial_indexes_the_database_would_take_two_in_flight() -> None:
    """The control for F21: it is these constraints that refuse, nothing else."""
    fleet = make_fleet()
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT bare")
        cursor.execute("DROP INDEX one_open_command_per_slot")
        cursor.execute("DROP INDEX one_command_in_flight")
        two_open_at_once(fleet, "SENT")
        assert Command.objects.filter(device_id=fleet.ids[0], status="SENT").count() == 2
        cursor.execute("ROLLBACK TO SAVEPOINT bare")
    with pytest.raises(IntegrityError):
        two_open_at_once(fleet, "SENT")


# --- many at once -----------------------------------------------------------------------------------------------------


def in_two_threads(work) -> list[object]:
    """Results of `work(gate)` in two threads; the first holds its transaction open until the second is done."""
    results: list[object] = []
    first_has_claimed, second_is_done = threading.Event(), threading.Event()

    def first() -> None:
        with system_scope(), transaction.atomic():
            results.append(work())
            first_has_claimed.set()
            second_is_done.wait(20)
        connection.close()

    def second() -> None:
        first_has_claimed.wait(20)
        try:
            with system_scope(), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                results.append(work())
        except Exception as refused:  # noqa: BLE001 (the control shows which)
            results.append(refused)
        finally:
            second_is_done.set()
            connection.close()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_two_workers_claim_every_command_once_and_neither_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """F12, F21: SKIP LOCKED."""
    fleet = make_fleet(30)
    fleet.tell(LOCK)
    claim_inside = claim.__wrapped__  # the threads hold the transactions themselves

    def take() -> list[int]:
        return [claimed.row.device_id for claimed in claim_inside(now=NOW, limit=20).sent]

    first, second = in_two_threads(take)
    assert (len(first), len(second)) == (20, 10)
    assert sorted(first + second) == fleet.ids
    assert set(Command.objects.values_list("status", "attempts")) == {("SENT", 1)}


@pytest.mark.django_db(transaction=True)
def test_without_SKIP_LOCKED_the_second_worker_waits_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for the test above."""
    make_fleet(30).tell(LOCK)

    def blocking(commands, limit):
        return list(commands.select_for_update().values_list("id", flat=True)[:limit])

    monkeypatch.setattr(dispatch, "claimed_rows", blocking)
    due = Command.objects.filter(status="PENDING", due_at__lte=NOW).order_by("due_at")
    first, second = in_two_threads(lambda: dispatch.claimed_rows(due, 20))
    assert len(first) == 20
    assert "lock timeout" in str(second)
