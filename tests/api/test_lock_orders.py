"""Requests lock in the order of the services that they call: two at once wait for each other in no ring (F23, F99).

Each test has its negative control: the row of the address first, as any change without a service of its own does it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.db.models import QuerySet

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint
from amp.foundation.scoping import system_scope
from amp.foundation.services.failures import is_conflict
from catalog.api import plans as plans_api
from catalog.models import Plan
from catalog.services.plans import edit_plan, withdraw_plan
from devices.api import devices as devices_api
from devices.models import Device, DeviceService
from devices.services.registration import terminate_device
from tests.api.calling import Tenant, make_tenant
from tests.factories import make_device
from tests.stack.waiting import waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)
TICKS = 3_000


class Meeting:
    """A request that holds its locks until a service of another connection waits for one of them."""

    def __init__(self, request: Callable[[], Any], service: Callable[[], Any]) -> None:
        self.holds, self.answer, self.failures = threading.Event(), None, []
        self._work = {"request": request, "service": service}

    def pausing(self, service: Callable[..., Any]) -> Callable[..., Any]:
        """The service that the request calls, once the other one waits."""

        def paused(**given: Any) -> Any:
            self.holds.set()
            for _look in range(TICKS):
                if waits_for_a_lock() or not self._other.is_alive():
                    break
                threading.Event().wait(0.01)
            return service(**given)

        return paused

    def take_place(self) -> list[BaseException]:
        """Both at once; what the service failed with. The request's answer is in `answer`."""
        one, self._other = (threading.Thread(target=self._run, args=(name,)) for name in ("request", "service"))
        for thread in (one, self._other):
            thread.start()
        for thread in (one, self._other):
            thread.join(60)
        assert not one.is_alive()
        assert not self._other.is_alive()
        return self.failures

    def _run(self, name: str) -> None:
        try:
            if name == "request":
                self.answer = self._work[name]()
            else:
                assert self.holds.wait(30)
                with system_scope():
                    self._work[name]()
        except BaseException as failure:  # noqa: BLE001 (the tests look at it)
            self.failures.append(failure)
        finally:
            self.holds.set()
            connection.close()


@pytest.fixture
def ours(transactional_db: None) -> Tenant:
    """Committed, for the other connection has to see it."""
    cache.clear()
    return make_tenant("ours")


@pytest.fixture
def row_first(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The old order: the row of the address is locked before anything else."""
    ordered = Endpoint.changing

    def changing(self: Endpoint, rows: QuerySet[Any], pk: Any, lock: Any = None) -> Any:
        return ordered(self, rows, pk)

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "changing", changing)
        yield


def publishing(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> tuple[Meeting, Plan]:
    """The second version is published over the API while somebody withdraws the first on its page."""
    with system_scope():
        terms = {name: getattr(ours.plan, name) for name in plans_api.TERMS}
        draft = edit_plan(plan=ours.plan, actor="ann", now=clock.now(), **terms)
    meeting = Meeting(
        lambda: ours.api.post(f"/plans/{draft.pk}/publish"),
        lambda: withdraw_plan(plan=ours.plan, actor="ann", now=clock.now()),
    )
    monkeypatch.setattr(plans_api, "publish_plan", meeting.pausing(plans_api.publish_plan))
    return meeting, draft


def terminating(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> tuple[Meeting, Device]:
    """A device is terminated over the API and on its page."""
    with system_scope():
        device = make_device(ours.product).device
    meeting = Meeting(
        lambda: ours.api.post(f"/devices/{device.pk}/terminate"),
        lambda: terminate_device(device=device, actor="ann", now=clock.now()),
    )
    monkeypatch.setattr(devices_api, "terminate_device", meeting.pausing(devices_api.terminate_device))
    return meeting, device


def is_deadlock(meeting: Meeting) -> bool:
    """Whether PostgreSQL ended one of the two: the request answers 503, or the service failed."""
    ended = [isinstance(each, OperationalError) and is_conflict(each) for each in meeting.failures]
    return ended == [True] if ended else bool(meeting.answer and meeting.answer.status_code == 503)


def test_f23_publishing_meets_a_withdrawal_of_the_version_before(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, draft = publishing(ours, monkeypatch)
    assert meeting.take_place() == []
    assert meeting.answer.status_code == 200
    with system_scope():
        states = dict(Plan.objects.filter(family=draft.family).values_list("version", "status"))
    assert states == {1: "WITHDRAWN", 2: "PUBLISHED"}


def test_with_the_draft_locked_first_publishing_and_withdrawing_wait_in_a_ring(
    ours: Tenant, row_first: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, _draft = publishing(ours, monkeypatch)
    meeting.take_place()
    assert is_deadlock(meeting)


def test_f23_terminating_over_the_api_meets_terminating_on_the_page(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, device = terminating(ours, monkeypatch)
    assert meeting.take_place() == []
    assert meeting.answer.json()["service_state"] == "TERMINATED"
    with system_scope():
        assert DeviceService.objects.get(pk=device.pk).state == "TERMINATED"


def test_with_the_device_locked_first_two_terminations_wait_in_a_ring(
    ours: Tenant, row_first: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, _device = terminating(ours, monkeypatch)
    meeting.take_place()
    assert is_deadlock(meeting)
