"""A bridge with much to store does it in two transactions at once; each device's messages stay in one, in order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from hypothesis import given
from hypothesis import strategies as st

from amp import bridge
from amp.foundation import clock
from amp.foundation.lanes import SecondLane
from amp.foundation.scoping import system_scope
from devices.models import Bridge, Presence, PresenceSession
from devices.services.uplinks import Inbound, by_device
from devices.transports.mqtt_inbox import Batch, Message
from tests.stack.waiting import eventually
from tests.talking_devices import Fleet, make_fleet

TOGETHER_WITHIN = 20
"""Seconds after which two lanes that never meet have not run at once."""
_TOPICS = st.sampled_from(
    [*(f"amp/p{p}/d{d}/{tail}" for p in "12" for d in "123" for tail in ("status", "up/attr")), "amp/p1/up/attr", "x"]
)


@given(st.lists(_TOPICS), st.integers(1, 3))
def test_f23_each_device_speaks_in_one_part_and_in_its_order(topics: list[str], parts: int) -> None:
    messages = [Inbound(topic, str(place).encode(), False, clock.wall()) for place, topic in enumerate(topics)]
    divided = by_device(messages, parts)
    assert len(divided) == parts
    assert sorted(chain(*divided), key=lambda one: int(one.payload)) == messages
    places: dict[str, set[int]] = {}
    for place, part in enumerate(divided):
        assert [int(one.payload) for one in part] == sorted(int(one.payload) for one in part)
        for one in part:
            places.setdefault("/".join(one.topic.split("/")[:3]), set()).add(place)
    assert all(len(found) == 1 for found in places.values())


@pytest.fixture
def lane() -> Iterator[SecondLane]:
    with SecondLane("second") as lane:
        yield lane


@pytest.fixture
def loop() -> Iterator[bridge.BridgeLoop]:
    with system_scope():
        loop = bridge.BridgeLoop(settings.MQTT_URL)
        Bridge.objects.create(name=loop.name)
        with loop._lane:
            yield loop


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Batch]:
    """A batch that is worth two lanes: each of forty devices comes, reports and goes."""
    monkeypatch.setattr(bridge, "TWO_LANES_FROM", 2)
    with system_scope():
        fleet = make_fleet(40)

    def said() -> Batch:
        words = [word for say in (Fleet.online, Fleet.report, Fleet.offline) for word in _each(fleet, say)]
        return Batch([Message(one.topic, one.payload, one.at, False, False) for one in words], lambda: True)

    return said


def _each(fleet: Fleet, say: Callable[[Fleet, str, object], Inbound]) -> list[Inbound]:
    return [say(fleet, key, clock.wall()) for key in fleet.ids]


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _is_connected(backend: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [backend])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_both_parts_run_at_once_each_on_a_connection_of_its_own(lane: SecondLane) -> None:
    meeting = threading.Barrier(2, timeout=TOGETHER_WITHIN)

    def work() -> int:
        meeting.wait()
        return _backend()

    here, there = lane.beside(work, work)
    assert here == _backend() != there
    assert lane.beside(work, work) == (here, there)


@pytest.mark.django_db(transaction=True)
def test_a_failure_of_either_is_raised_when_both_have_ended(lane: SecondLane) -> None:
    ended = threading.Event()

    def broken() -> None:
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        lane.beside(broken, ended.set)
    assert ended.is_set()
    with pytest.raises(OperationalError):
        lane.beside(lambda: None, broken)


@pytest.mark.django_db(transaction=True)
def test_f18_the_lane_gets_another_connection_after_a_failure(lane: SecondLane) -> None:
    _here, before = lane.beside(_backend, _backend)

    def ended_by_the_server() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError):
        lane.beside(lambda: None, ended_by_the_server)
    _here, after = lane.beside(_backend, _backend)
    assert after != before


@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_closed_lane_is_left() -> None:
    lane = SecondLane("second")
    _here, backend = lane.beside(_backend, _backend)
    assert _is_connected(backend)
    lane.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("second")]
    eventually(lambda: not _is_connected(backend), what="the end of its connection")


@pytest.mark.django_db(transaction=True)
def test_p1_two_lanes_store_all_that_one_would(loop: bridge.BridgeLoop, many: Callable[[], Batch]) -> None:
    loop._store(many().messages)
    assert Bridge.objects.get().received == 120
    assert PresenceSession.objects.count() == 40
    assert set(Presence.objects.values_list("is_online", flat=True)) == {False}
    assert Presence.objects.filter(counted__gt=0).count() == 40


@pytest.mark.django_db(transaction=True)
def test_f02_f18_where_one_lane_fails_nothing_is_acknowledged_and_all_comes_again(
    loop: bridge.BridgeLoop, many: Callable[[], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other lane's half is stored by then; told again, it changes nothing."""
    apply_batch, tried = bridge.apply_batch, Counter[str]()

    def fails_once_beside(messages, **options):
        name = threading.current_thread().name
        tried[name] += 1
        if name != threading.main_thread().name and tried[name] == 1:
            raise OperationalError("The connection was lost")
        return apply_batch(messages, **options)

    monkeypatch.setattr(bridge, "apply_batch", fails_once_beside)
    monkeypatch.setattr(bridge, "BACK_OFF_SECONDS", (0.0, 0.0))
    batch = many()
    with pytest.raises(OperationalError):
        loop._store(batch.messages)
    halves = PresenceSession.objects.count()
    assert 0 < halves < 40
    loop._insist(lambda: loop._store(batch.messages))
    assert sorted(tried.values()) == [2, 2]
    assert PresenceSession.objects.count() == 40
    assert Presence.objects.filter(counted__gt=0).count() == 40
