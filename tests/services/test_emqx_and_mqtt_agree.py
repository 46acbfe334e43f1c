"""The same life told by status messages and by EMQX's events gives the same record of online time (P1–P3, P6).

A year of one device, in order; and any few sessions in any order, some told twice, in batches of any size.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp.foundation.scoping import system_scope
from devices import emqx
from devices.models import Presence, PresenceSession
from devices.services.emqx import record_emqx_events
from tests.services.emqx_calls import connected, disconnected, ms
from tests.talking_devices import DAY, Fleet, make_fleet, tell

pytestmark = pytest.mark.django_db
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Said(NamedTuple):
    """One end of a session: connect, or disconnect of the session that began at `since`."""

    at: datetime
    since: datetime
    online: bool


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def by_mqtt(fleet: Fleet, said: Sequence[Said], now: datetime) -> None:
    """As the bridge hears it, with the broker's own name for each session."""
    words = [(fleet.online if one.online else fleet.offline)("d1", one.at, ms(one.since)) for one in said]
    tell(*words, now=now)


def by_emqx(fleet: Fleet, said: Sequence[Said], now: datetime) -> None:
    """As EMQX reports it."""
    name = f"{fleet.product.key}/d2"
    events: list[Any] = [
        connected(name, one.at, keepalive=None) if one.online else disconnected(name, one.at, since=one.since)
        for one in said
    ]
    reading = emqx.read_events(json.dumps(events).encode())
    assert reading is not None
    assert not record_emqx_events(reading, shift=timedelta(), now=now)


def ledger(fleet: Fleet, key: str) -> tuple[Any, ...]:
    """What is on record about a device: whether it is online and since when, its total, its closed sessions."""
    row = Presence.objects.get(device_id=fleet.ids[key])
    sessions = PresenceSession.objects.filter(device_id=fleet.ids[key]).order_by("started_at", "ended_at", "session")
    closed = list(sessions.values_list("session", "started_at", "ended_at", "estimated"))
    return row.is_online, row.session, row.open_since, row.counted, row.last_event_at, closed


def test_a_year_of_one_device_is_the_same_year_by_either_way_P1():
    """Some 400 sessions between seconds and two days, reconnections without a break, batches as they come."""
    chance = random.Random(1)
    fleet, moment, said, total = make_fleet(2), DAY, [], timedelta()
    while moment < DAY + timedelta(days=365):
        length = timedelta(seconds=round(chance.choice([20, 3_600, 40_000, 170_000]) * chance.uniform(0.1, 1)))
        said += [Said(moment, moment, True), Said(moment + length, moment, False)]
        total += length
        moment += length + timedelta(seconds=chance.choice([1, 60, 20_000, 90_000]))
    assert len(said) > 400
    while said:
        batch, said = said[: (size := chance.randint(1, 30))], said[size:]
        while batch:  # nothing waits longer than the seven days of P5
            near = [one for one in batch if one.at - batch[0].at < timedelta(days=3)]
            batch = batch[len(near) :]
            by_mqtt(fleet, near, near[-1].at)
            by_emqx(fleet, near, near[-1].at)
    assert ledger(fleet, "d1") == ledger(fleet, "d2")
    assert Presence.objects.get(device_id=fleet.ids["d2"]).counted == total // timedelta(microseconds=1)


lives = st.lists(st.tuples(st.integers(1, 7_200), st.integers(0, 3_600)), min_size=1, max_size=5)


def sessions_of(life: Sequence[tuple[int, int]]) -> list[tuple[datetime, datetime]]:
    """Sessions that follow one another, as lengths and breaks in seconds."""
    found, moment = [], DAY
    for length, pause in life:
        found.append((moment, moment + length * SECOND))
        moment += (length + max(pause, 1)) * SECOND
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives, st.booleans(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_total_by_either_way_P2_P6(life, goes_on, chance):
    """Every end is told; the last session may still go on. What is told twice and out of order changes nothing."""
    fleet = make_fleet(2, name=f"Acme {random.random()}", with_rule=False)
    sessions = sessions_of(life)
    said = [each for began, ended in sessions for each in (Said(began, began, True), Said(ended, began, False))]
    if goes_on:
        said.pop()
    told = said + chance.sample(said, chance.randint(0, len(said)))
    chance.shuffle(told)
    now = sessions[-1][1] + MINUTE
    while told:
        batch, told = told[: (size := chance.randint(1, 4))], told[size:]
        by_mqtt(fleet, batch, now)
        by_emqx(fleet, batch, now)
    counted = sum((ended - began for began, ended in sessions[: len(sessions) - goes_on]), timedelta())
    for key in ("d1", "d2"):
        row = Presence.objects.get(device_id=fleet.ids[key])
        assert row.is_online is goes_on
        assert row.counted == counted // timedelta(microseconds=1), key
    assert Presence.objects.get(device_id=fleet.ids["d2"]).open_since == (sessions[-1][0] if goes_on else None)


def test_a_reading_that_forgot_whose_session_ended_would_differ():
    """Negative control: a late disconnect that is taken for the newer session's makes the device offline."""
    fleet = make_fleet(2)
    first, second = DAY, DAY + 60 * MINUTE
    said = [Said(first, first, True), Said(second, second, True), Said(second - SECOND, first, False)]
    for one in said:
        by_mqtt(fleet, [one], second + MINUTE)
        by_emqx(fleet, [one], second + MINUTE)
    assert ledger(fleet, "d1") == ledger(fleet, "d2")
    assert Presence.objects.get(device_id=fleet.ids["d2"]).is_online
    forgetful = make_fleet(2, name="Forgetful")
    for one in (*said[:2], said[2]._replace(since=second)):
        by_emqx(forgetful, [one], second + MINUTE)
    assert ledger(forgetful, "d2") != ledger(fleet, "d2")
