"""A bridge with much to store does it in two transactions at once; each device's messages stay in one, in order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from amp import bridge
from amp.foundation import clock
from amp.foundation.lanes import SecondLane
from amp.foundation.scoping import system_scope
from devices.models import Bridge, Command, CommandStatus, Presence
from devices.services.uplinks import Inbound, by_device
from devices.transports.mqtt_inbox import Message
from tests.stack.waiting import eventually
from tests.talking_devices import Fleet, lock_sent, make_fleet

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
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Forty devices, for batches that are worth two lanes."""
    monkeypatch.setattr(bridge, "TWO_LANES_FROM", 2)
    monkeypatch.setattr(bridge, "BACK_OFF_SECONDS", (0.0, 0.0))
    with system_scope():
        return make_fleet(40)


def told(words: Iterable[Inbound]) -> list[Message]:
    return [Message(one.topic, one.payload, one.at, False, False) for one in words]


def a_day_of(fleet: Fleet) -> list[Message]:
    """Each device reports, comes, reports and goes; all came off the socket at once, and have one stamp."""
    now = clock.wall()
    says: list[Callable[[str], Inbound]] = [
        lambda key: fleet.report(key, now),
        lambda key: fleet.online(key, now, 1),
        lambda key: fleet.report(key, now),
        lambda key: fleet.offline(key, now, 1),
    ]
    return told(say(key) for say in says for key in fleet.ids)


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
def test_f18_a_lane_whose_connection_ended_unseen_is_given_another(lane: SecondLane) -> None:
    """Nobody looks at it between two batches that are worth it."""
    _here, before = lane.beside(_backend, _backend)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [before])
    eventually(lambda: not _is_connected(before), what="the end of its connection")
    _here, after = lane.beside(_backend, _backend)
    assert after != before


@pytest.mark.django_db(transaction=True)
def test_p1_two_lanes_store_all_that_one_would(loop: bridge.BridgeLoop, fleet: Fleet) -> None:
    loop._store(loop._divided(a_day_of(fleet)))
    assert Bridge.objects.get().received == 160
    assert set(Presence.objects.values_list("is_online", flat=True)) == {False}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lost", ["here", "there"])
def test_p2_f18_where_one_lane_fails_its_half_alone_is_tried_again(
    loop: bridge.BridgeLoop, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    apply_batch, tried = bridge.apply_batch, Counter[str]()

    def fails_once(messages, **options):
        place = "here" if threading.current_thread() is threading.main_thread() else "there"
        tried[place] += 1
        if place == lost and tried[place] == 1:
            raise OperationalError("The connection was lost")
        return apply_batch(messages, **options)

    monkeypatch.setattr(bridge, "apply_batch", fails_once)
    parts = loop._divided(a_day_of(fleet))
    sizes = [len(part) for part in parts]
    with pytest.raises(OperationalError):
        loop._store(parts)
    assert [len(part) for part in parts] == [sizes[0] * (lost == "here"), sizes[1] * (lost == "there")]
    loop._insist(lambda: loop._store(parts))
    assert parts == [[], []]
    assert tried == {lost: 2, ({"here", "there"} - {lost}).pop(): 1}
    assert Bridge.objects.get().received == 160
    assert not Presence.objects.filter(is_online=True).exists()


@pytest.mark.django_db(transaction=True)
def test_f23_f56_devices_that_ack_each_others_commands_make_no_lane_wait_for_the_other(
    loop: bridge.BridgeLoop, fleet: Fleet
) -> None:
    """Only a device's own commands are locked for what it says; a ticket of another's means nothing."""
    here, there = _one_of_each_half(loop, fleet)
    for key in (here, there):
        lock_sent(fleet, key)
    Command.objects.update(status=CommandStatus.PENDING.value, due_at=None)
    tickets = {key: Command.objects.get(device_id=fleet.ids[key]).ticket for key in (here, there)}
    with transaction.atomic():  # somebody holds the one's command: whoever speaks for the other alone needn't wait
        Command.objects.select_for_update().get(ticket=tickets[there])
        acks = [fleet.ack(here, clock.wall(), tickets[there])]
        with SecondLane("beside") as lane:
            lane.beside(lambda: None, lambda: _within(seconds=5, work=lambda: loop._apply(told(acks))))
    assert not Command.objects.exclude(status=CommandStatus.PENDING.value).exists()


def _one_of_each_half(loop: bridge.BridgeLoop, fleet: Fleet) -> tuple[str, str]:
    first, second = loop._divided(told(fleet.report(key, clock.wall()) for key in fleet.ids))
    return first[0].topic.split("/")[2], second[0].topic.split("/")[2]


def _within(seconds: int, work: Callable[[], None]) -> None:
    """Do `work`; a lock that takes longer to get is an error."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{seconds}s'")
        work()
