"""A transfer meets a renewal or the sweep in the same moment: wholly before or wholly after (A26, A18, F23, R2)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from amp.foundation.scoping import system_scope
from catalog.models import Product
from devices.invariants import violations
from devices.lifecycle import State
from devices.models import DeviceService, EarlyEnd, Period
from devices.online_time import Kind, PresenceEvent
from devices.services import presence, transfer
from devices.services.lifecycle import advance_due_services
from devices.services.presence import Heard
from devices.services.transfer import transfer_service
from tests.factories import HOUR, NOW, make_device, make_product
from tests.services.test_transfer import renew
from tests.stack.waiting import waits_for_a_lock
from tests.talking_devices import record

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
HOURS = timedelta(hours=1)
LATER = NOW + 10 * DAY


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def product() -> Product:
    return make_product(trial_start=0, trial_end=HOUR, renewal_before_trial_end=True)


def pair(product: Product) -> tuple[int, int]:
    source, target = make_device(product).device.pk, make_device(product).device.pk
    renew(source, product)
    return source, target


def service(pk: int) -> DeviceService:
    return DeviceService.objects.get(pk=pk)


def move(source: int, target: int, *, now: Any = LATER) -> None:
    transfer_service(source_id=source, target_id=target, reason="broken", actor="ann", now=now)


def together(first: Callable[[], Any], second: Callable[[], Any]) -> list[BaseException]:
    """Both at once: the first keeps its transaction open until the second waits for its lock, or is through."""
    started, errors = threading.Event(), []

    def holding() -> None:
        with system_scope(), transaction.atomic():
            first()
            started.set()
            _until(lambda: waits_for_a_lock() or not other.is_alive())

    def waiting() -> None:
        started.wait(30)
        with system_scope():
            second()

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (the tests look at it)
            errors.append(error)
            started.set()
        finally:
            connection.close()

    one = threading.Thread(target=guarded, args=(holding,))
    other = threading.Thread(target=guarded, args=(waiting,))
    for thread in (other, one):  # the one that waits is alive before the first asks for it
        thread.start()
    for thread in (one, other):
        thread.join(60)
    assert not any(thread.is_alive() for thread in (one, other))
    return errors


def _until(is_so: Callable[[], bool]) -> None:
    ticks = threading.Event()
    for _look in range(3_000):
        if is_so():
            return
        ticks.wait(0.01)


def test_a_renewal_that_is_first_moves_with_the_rest_A26(product: Product) -> None:
    source, target = pair(product)
    errors = together(lambda: renew(source, product, months=12, paid_at=LATER, now=LATER), lambda: move(source, target))
    assert errors == []
    assert service(target).ends_at == NOW + (365 + 366) * DAY
    assert (service(source).state, service(source).ends_at) == (State.EXPIRED.value, LATER)
    assert violations(now=LATER) == []


def test_a_renewal_that_is_second_starts_anew_on_the_source_A16_A26(product: Product) -> None:
    source, target = pair(product)
    errors = together(lambda: move(source, target), lambda: renew(source, product, months=1, paid_at=LATER, now=LATER))
    assert errors == []
    assert service(target).ends_at == NOW + 365 * DAY
    assert (service(source).state, service(source).ends_at) == (State.ACTIVE.value, LATER + 31 * DAY)
    assert violations(now=LATER) == []


def test_two_transfers_of_one_device_move_its_time_once_R2(product: Product) -> None:
    source, target = pair(product)
    other = make_device(product).device.pk
    errors = together(lambda: move(source, target), lambda: move(source, other))
    assert [type(error).__name__ for error in errors] == ["TransferRefused"]
    assert (service(target).state, service(other).state) == (State.ACTIVE.value, State.PENDING.value)
    assert EarlyEnd.objects.count() == 1
    assert violations(now=LATER) == []


def test_without_the_locks_two_transfers_would_move_the_same_time_twice(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both read the source before either has written it. Only the ledger's own constraint is left."""
    source, target = pair(product)
    other = make_device(product).device.pk
    read = transfer._case
    both = threading.Barrier(2, timeout=30)

    def unlocked(source_id: int, target_id: int, now: Any, **_options: bool) -> Any:
        case = read(source_id, target_id, now, lock=False)
        both.wait()
        return case

    monkeypatch.setattr(transfer, "_case", unlocked)
    monkeypatch.setattr(transfer, "locked_states", lambda rows: {})
    errors = []

    def run(to: int) -> None:
        try:
            with system_scope():
                move(source, to)
        except Exception as error:  # noqa: BLE001 (which one it is, is the point)
            errors.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(to,)) for to in (target, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == ["IntegrityError"], "no refusal: the rule was asked twice about the same time"


def test_the_sweep_leaves_a_device_that_is_being_moved_alone_A17_A26(product: Product) -> None:
    """It skips the locked row; afterwards nothing is due on either."""
    source, target = pair(product)
    end = service(source).ends_at
    assert end is not None
    moments = []

    def sweep() -> None:
        moments.append(advance_due_services(now=end))

    assert together(lambda: move(source, target, now=end - DAY), sweep) == []
    assert moments[0].found == 0
    assert (service(source).state, service(target).state) == (State.EXPIRED.value, State.ACTIVE.value)
    assert advance_due_services(now=end).moved == 1
    assert service(target).state == State.EXPIRED.value
    assert violations(now=end) == []


def test_a_sweep_that_is_first_leaves_nothing_to_move_A17_A26(product: Product) -> None:
    source, target = pair(product)
    end = service(source).ends_at
    assert end is not None
    errors = together(lambda: advance_due_services(now=end), lambda: move(source, target, now=end))
    assert ["no time left" in str(error) for error in errors] == [True]
    assert Period.objects.filter(device_id=target).count() == 0
    assert violations(now=end) == []


def meet(monkeypatch: pytest.MonkeyPatch, target: int, second: Callable[[], None]) -> list[BaseException]:
    """While the target's presence is written and its trial not timed yet, `second` runs till it waits or is through."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            with system_scope():
                second()
        except BaseException as error:  # noqa: BLE001 (the tests look at it)
            errors.append(error)
        finally:
            connection.close()

    other, timing = threading.Thread(target=guarded), presence.reschedule_trials

    def paused(states: Any, **options: Any) -> int:
        if states:
            other.start()
            _until(lambda: waits_for_a_lock() or not other.is_alive())
        return timing(states, **options)

    monkeypatch.setattr(presence, "reschedule_trials", paused)
    was_online = ((Kind.ONLINE, LATER - 3 * HOURS), (Kind.OFFLINE, LATER - HOURS))
    events = [Heard(target, PresenceEvent(kind=kind, at=at, session="7")) for kind, at in was_online]
    record(events, now=LATER)
    other.join(60)
    assert not other.is_alive()
    return errors


def test_what_a_device_says_as_it_is_moved_to_is_counted_first_A26_F23(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair(product)
    assert meet(monkeypatch, target, lambda: move(source, target)) == []
    assert service(target).trial_started_at == LATER - 3 * HOURS
    assert service(target).state == State.ACTIVE.value
    assert violations(now=LATER) == []


def test_without_the_lock_on_its_presence_the_target_would_never_have_had_its_trial(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both did meet."""
    source, target = pair(product)
    monkeypatch.setattr(transfer, "locked_states", lambda rows: {})
    assert meet(monkeypatch, target, lambda: move(source, target)) == []
    assert service(target).trial_started_at is None
