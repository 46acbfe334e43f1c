"""A large batch of the bridge is stored by two lanes, and comes to the same as by one (F02, F18, P1–P3)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from amp import bridge
from amp.bridge import LARGE, BridgeLoop
from amp.foundation import clock
from amp.foundation.scoping import system_scope
from devices.models import Bridge, Presence, PresenceSession
from devices.services.uplinks import Applied, Inbound, apply_batch
from devices.transports.mqtt_inbox import Message
from tests import factories

DEVICES = 20
ROUNDS = LARGE // DEVICES
SECOND = timedelta(seconds=1)
BEGAN = clock.wall() - ROUNDS * SECOND

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def loop() -> Iterator[BridgeLoop]:
    """A bridge that listens to nobody: batches are handed to it."""
    with system_scope():
        maker = factories.make_enterprise("Maker")
        product = factories.make_product(maker, key="heater")
        for number in range(DEVICES):
            factories.make_device(product, key=f"d{number}")
        Bridge.objects.create(name="amp-bridge")
        made = BridgeLoop("mqtt://127.0.0.1:1")
        yield made
        made._second.submit(bridge.connections.close_all).result()
        made._second.shutdown()


def sessions() -> list[Message]:
    """Each device in turn comes and goes, again and again."""
    said = []
    for number in range(ROUNDS):
        for device in range(DEVICES):
            body = {"value": 1 - number % 2, "session": number // 2 + 1}
            at = BEGAN + number * SECOND
            said.append(Message(f"amp/heater/d{device}/status", json.dumps(body).encode(), at, False, False))
    return said


def stored() -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    return (
        set(Presence.objects.values_list("device__key", "is_online", "counted", "session")),
        set(PresenceSession.objects.values_list("device__key", "session", "started_at", "ended_at")),
    )


def test_p2_two_lanes_store_what_one_would(loop: BridgeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()

    def noted(inbound: Sequence[Inbound], **more: Any) -> Applied:
        names.add(threading.current_thread().name)
        return apply_batch(inbound, **more)

    monkeypatch.setattr(bridge, "apply_batch", noted)
    loop._store(sessions())
    by_two = stored()
    assert len(names) == 2
    assert Bridge.objects.get().received == LARGE
    assert len(by_two[1]) == DEVICES * ROUNDS // 2

    Presence.objects.update(
        is_online=False, session=None, session_started_at=None, open_since=None, counted=0, last_seen_at=None,
        last_event_at=None,
    )  # fmt: skip
    PresenceSession.objects.all().delete()
    monkeypatch.setattr(bridge, "LARGE", LARGE + 1)
    names.clear()
    loop._store(sessions())
    assert len(names) == 1
    assert stored() == by_two


def test_what_one_device_says_stays_in_one_lane_and_in_order() -> None:
    at = datetime(2026, 3, 1, tzinfo=factories.NOW.tzinfo)
    said = [
        Inbound(f"amp/p/d{number % 7}/{tail}", b"%d" % number, False, at)
        for number in range(700)
        for tail in ("status", "up/attr", "up/ack")
    ]
    strange = [Inbound(topic, b"", False, at) for topic in ("", "amp", "amp/p", "/", "amp/p/d/more/of/it")]
    one, two = bridge._lanes([*said, *strange])
    assert len(one) + len(two) == len(said) + len(strange)
    owners = [{each.topic.split("/")[2] for each in lane if each.topic.startswith("amp/p/d")} for lane in (one, two)]
    assert not owners[0] & owners[1]
    for lane in (one, two):
        assert [each for each in [*said, *strange] if each in lane] == lane


def test_f18_a_batch_is_not_done_before_both_lanes_are(loop: BridgeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second lane's database is away: it insists. A fault of our own comes out where the batch waits."""
    left = [OperationalError("away"), OperationalError("away")]

    def troubled(inbound: Sequence[Inbound], **more: Any) -> Applied:
        if threading.current_thread().name.startswith("bridge-lane") and left:
            raise left.pop()
        return apply_batch(inbound, **more)

    monkeypatch.setattr(bridge, "apply_batch", troubled)
    loop._store(sessions())
    assert Bridge.objects.get().received == LARGE
    left.append(RuntimeError("a fault"))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="a fault"):
        loop._store(sessions())
