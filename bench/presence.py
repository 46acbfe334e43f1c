"""Row B: what devices say, from the broker's queue into the database; and the database's part alone."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction

from amp.bridge import FILTERS, BridgeLoop
from amp.foundation import clock
from amp.foundation.bulk import among
from amp.foundation.scoping import system_scope
from bench import bridges, broker, fleet
from bench.bridges import await_received
from bench.floor import Said, keep_all, keep_newest, make_narrow, update_narrow
from bench.rounds import Figure, Target, in_turn, seconds
from bench.stage import Stage
from devices import wire
from devices.models import Device, Presence
from devices.online_time import Kind, PresenceEvent
from devices.services.presence import Heard, record_presence
from devices.services.presence_rows import locked_states
from devices.services.uplinks import Inbound, apply_batch
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_inbox import Message
from devices.transports.mqtt_listener import MqttListener

DEVICES = 20_000
BATCH = 5_000
SAID = ("online", "report", "report", "report", "offline")
"""Each device in turn says the first, then each the second, and so on: 100,000 messages of 20,000 devices."""
BRIDGE = "amp-bridge"


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """From the broker's queue, by two bridges beside one, then without the broker."""
    stage.use(stage.large)
    with system_scope():
        names = _names(fleet.scattered(min(DEVICES, stage.scale // 2)))
        yield from _from_the_broker(stage, rounds, names)
        sides = [f"{count}-{number}" for count in (1, 2) for number in range(rounds)]
        yield from bridges.figures(stage, rounds, {side: _round_of(names, side) for side in sides})
        yield from _database_alone(rounds, names)


def _names(ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Product key and device key by device id."""
    rows = Device.objects.filter(id__in=ids).values_list("id", "product__key", "key")
    return {device_id: (product, key) for device_id, product, key in rows}


def _said(names: dict[int, tuple[str, str]], what: str, session: str) -> list[tuple[str, bytes]]:
    tail = "up/attr" if what == "report" else "status"
    payload = {
        "online": b'{"value": 1, "session": "%s", "keepalive": 60}' % session.encode(),
        "offline": b'{"value": 0, "session": "%s"}' % session.encode(),
        "report": b'{"ticket": "t", "type": "MATTR", "subtype": "REPORT", "data": {"kv": {"2": 50}}}',
    }[what]
    return [(f"amp/{product}/{key}/{tail}", payload) for product, key in names.values()]


def _round_of(names: dict[int, tuple[str, str]], session: str) -> list[tuple[str, bytes]]:
    return [message for what in SAID for message in _said(names, what, session)]


# -- from the broker's queue ------------------------------------------------------------------------------------------


def _from_the_broker(stage: Stage, rounds: int, names: dict[int, tuple[str, str]]) -> Iterator[Figure]:
    total = len(SAID) * len(names)
    _stored(stage, 0, names, -1)  # warm up
    make_narrow()
    nowhere, codec, bare, same, stored = in_turn(
        rounds,
        partial(_nowhere, stage, names),
        partial(_acknowledged, stage, names),
        partial(_unjudged, stage, names, keep_newest),
        partial(_unjudged, stage, names, keep_all),
        partial(_stored, stage, total, names),
    )
    sub = "mosquitto_sub to nowhere, on the same queue"
    what = f"{total:,} messages of {len(names):,} devices"
    yield Figure("B", f"{what}: listener, acknowledged at once", "/s", sub, codec, nowhere)
    yield Figure("B", f"{what}: bridge, into the database", "/s", sub, stored, nowhere)
    limit = "the same listener and parser, the same rows of the same tables, no rule asked"
    yield Figure("B", f"{what}: bridge, into the database", "/s", limit, stored, same, Target(0.5))
    narrow = "the same listener and parser, one UPDATE … FROM unnest a batch on a narrow table"
    yield Figure("B", f"{what}: bridge, into the database", "/s", narrow, stored, bare)


def _queue(stage: Stage, client_id: str, filters: Sequence[str], names: dict[int, tuple[str, str]], number: int) -> int:
    """Let the broker keep one round of messages for `client_id`; how many."""
    broker.end_session(stage.mqtt_url, client_id)
    broker.open_session(stage.mqtt_url, client_id, filters)
    messages = _round_of(names, f"{client_id}-{number}")
    broker.publish_raw(stage.mqtt_url, broker.frames_of(messages))
    return len(messages)


def _nowhere(stage: Stage, names: dict[int, tuple[str, str]], number: int) -> float:
    total = _queue(stage, "bench-nowhere", FILTERS, names, number)
    options = ("-c", "-x", "3600", "-q", "1", "-C", str(total))
    command = broker.mosquitto_sub(stage.mqtt_url, "bench-nowhere", FILTERS, *options)
    try:
        return total / seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    finally:
        broker.end_session(stage.mqtt_url, "bench-nowhere")


def _acknowledged(stage: Stage, names: dict[int, tuple[str, str]], number: int) -> float:
    """The product's listener alone: read, decode, acknowledge, forget."""
    total = _queue(stage, "bench-codec", FILTERS, names, number)
    address = MqttAddress.parse(stage.mqtt_url)
    listener = MqttListener(address, client_id="bench-codec", filters=FILTERS, stamp=clock.wall)
    try:
        return total / seconds(lambda: _take(listener, total))
    finally:
        listener.close()
        broker.end_session(stage.mqtt_url, "bench-codec")


def _take(listener: MqttListener, total: int, keep: Callable[[list[Message]], None] | None = None) -> None:
    listener.open()
    taken = 0
    while taken < total:
        batch = listener.next_batch(limit=BATCH, timeout=10)
        if batch is None:
            raise RuntimeError(f"Only {taken:,} of {total:,} messages came")
        taken += len(batch)
        if keep:
            keep(batch.messages)
        batch.ack()


def _unjudged(
    stage: Stage, names: dict[int, tuple[str, str]], store: Callable[[Sequence[Said]], None], number: int
) -> float:
    """What any bridge in Python must do: receive, read the JSON, tell devices apart, store a row each, acknowledge."""
    total = _queue(stage, "bench-floor", FILTERS, names, number)
    ids = {source: device_id for device_id, source in names.items()}

    def keep(messages: list[Message]) -> None:
        said = []
        for message in messages:
            reading = wire.parse(message.topic, message.payload)
            assert not isinstance(reading, wire.Refused)
            what, session = "report", None
            if isinstance(reading, wire.Status):
                what, session = "online" if reading.online else "offline", reading.session
            said.append(Said(ids[reading.source], what, session, message.received_at))
        store(said)

    address = MqttAddress.parse(stage.mqtt_url)
    listener = MqttListener(address, client_id="bench-floor", filters=FILTERS, stamp=clock.wall)
    try:
        return total / seconds(lambda: _take(listener, total, keep))
    finally:
        listener.close()
        broker.end_session(stage.mqtt_url, "bench-floor")


def _stored(stage: Stage, _total: int, names: dict[int, tuple[str, str]], number: int) -> float:
    """The bridge, as `manage.py bridge` runs it; from its start to the commit of the last message."""
    total = _queue(stage, BRIDGE, FILTERS, names, number)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM devices_bridge")
        cursor.execute("VACUUM ANALYZE devices_presence, devices_presencesession")
    stop = threading.Event()
    loop = BridgeLoop(stage.mqtt_url, stop=stop)
    thread = threading.Thread(target=loop.run)
    started = time.perf_counter()
    thread.start()
    try:
        await_received(stage, total)
        return total / (time.perf_counter() - started)
    finally:
        stop.set()
        thread.join()
        broker.end_session(stage.mqtt_url, BRIDGE)


# -- without the broker -----------------------------------------------------------------------------------------------


def _database_alone(rounds: int, names: dict[int, tuple[str, str]]) -> Iterator[Figure]:
    make_narrow()
    chosen = dict(sorted(names.items())[: min(BATCH, len(names))])
    presence, batch, same, bare = in_turn(
        rounds,
        partial(_recorded, chosen),
        partial(_applied, chosen),
        partial(_same, sorted(chosen)),
        partial(_bare, sorted(chosen)),
    )
    what = f"batches of {len(chosen):,} connects, uplinks, disconnects"
    limit = "the same rows of the same tables, locked and written"
    yield Figure("B", f"{what}: presence alone", "/s", limit, presence, same, Target(0.45))
    yield Figure("B", f"{what}: all of apply_batch", "/s", limit, batch, same)
    narrow = "one UPDATE … FROM unnest on a narrow table"
    yield Figure("B", f"{what}: presence alone", "/s", narrow, presence, bare)


def _recorded(names: dict[int, tuple[str, str]], number: int) -> float:
    batches = [
        [Heard(device_id, PresenceEvent(kind, session, clock.wall())) for device_id in names]
        for kind, session in (
            (Kind.ONLINE, f"recorded-{number}"),
            (Kind.UPLINK, None),
            (Kind.OFFLINE, f"recorded-{number}"),
        )
    ]
    now = clock.wall() + timedelta(seconds=1)
    return 3 * len(names) / seconds(lambda: [_record(batch, now) for batch in batches])


@transaction.atomic
def _record(batch: Sequence[Heard], now: datetime) -> None:
    presence = Presence.objects.filter(among("device_id", [one.device_id for one in batch]))
    record_presence(batch, locked_states(presence), now=now)


def _applied(names: dict[int, tuple[str, str]], number: int) -> float:
    batches = [
        [Inbound(topic, payload, False, clock.wall()) for topic, payload in _said(names, what, f"applied-{number}")]
        for what in ("online", "report", "offline")
    ]
    now = clock.wall() + timedelta(seconds=1)
    spent = 0.0
    for batch in batches:
        started = time.perf_counter()
        applied = apply_batch(batch, now=now)
        spent += time.perf_counter() - started
        if applied.dropped:
            raise RuntimeError(f"Dropped {applied.dropped}")
    return 3 * len(names) / spent


def _same(ids: Sequence[int], number: int) -> float:
    session = f"same-{number}"
    batches = [
        [Said(pk, what, None if what == "report" else session, clock.wall()) for pk in ids]
        for what in ("online", "report", "offline")
    ]
    return 3 * len(ids) / seconds(lambda: [keep_all(batch) for batch in batches])


def _bare(ids: list[int], _number: int) -> float:
    rows = [(ids, [on_line] * len(ids), [clock.wall()] * len(ids)) for on_line in (True, True, False)]
    return 3 * len(ids) / seconds(lambda: [update_narrow(columns) for columns in rows])
