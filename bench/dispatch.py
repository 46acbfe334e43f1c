"""Row C: commands are claimed, published, acknowledged by the broker and stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial

from django.db import connection, transaction

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from bench import broker, fleet, urgent
from bench.rounds import Figure, Target, in_turn, seconds
from bench.stage import Stage
from devices import tasks
from devices.delivery import CommandKind
from devices.models import Command, DeviceService
from devices.services.command_rows import claimed_rows
from devices.services.commands import CommandOrder, order_commands
from devices.services.dispatch import CHUNK, dispatch_commands, payload_of
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_publisher import COMMAND_EXPIRY_SECONDS, MqttPublisher

COMMANDS = 10_000
ONE_BY_ONE = 300

_ON_LINE = "UPDATE devices_presence SET is_online = true WHERE device_id = ANY(%s)"
_RESET = """
    UPDATE devices_command SET status = 'PENDING', attempts = 0, sent_at = NULL, closed_at = NULL, due_at = %s
    WHERE device_id = ANY(%s) AND status IN ('PENDING', 'SENT')
"""


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """Batches against the raw publisher, and against one command at a time."""
    stage.use(stage.large)
    now = clock.wall()
    with system_scope(), broker.listening_devices(stage.stack.mosquitto):
        ids = sorted(fleet.scattered(min(COMMANDS, stage.scale // 10), state="EXPIRED"))
        _order(ids, now)
        frames = _frames(len(ids), now)
        with closing(MqttPublisher(MqttAddress.parse(stage.mqtt_url))) as publisher:
            _dispatched(ids, now, -1)  # warm up
            product, single, raw = in_turn(
                rounds,
                partial(_dispatched, ids, now),
                partial(_one_by_one, ids[:ONE_BY_ONE], publisher, now),
                partial(_raw, stage, frames),
            )
    what = f"dispatch of {len(ids):,} commands"
    yield Figure(
        "C",
        f"{what}, batches of {CHUNK:,}",
        "/s",
        "raw socket, window 1,000, stores nothing",
        product,
        raw,
        Target(0.3),
    )
    yield Figure(
        "C",
        f"{what} beside one command at a time",
        "/s",
        "claim, publish, store one by one",
        product,
        single,
        Target(50),
    )
    with system_scope(), broker.listening_devices(stage.stack.mosquitto):
        yield from urgent.figures(stage, rounds, ids, partial(_reset, ids, now))


def _order(ids: Sequence[int], now: datetime) -> None:
    """Commands that wait for nothing; there are no others (`fleet.rest`)."""
    with connection.cursor() as cursor:
        cursor.execute(_ON_LINE, [list(ids)])
        cursor.execute(
            "UPDATE devices_deviceservice SET generation = generation + 1 WHERE device_id = ANY(%s)", [list(ids)]
        )
    columns = ("device_id", "enterprise_id", "product_id", "generation")
    services = DeviceService.objects.filter(device_id__in=list(ids)).values_list(*columns)
    orders = [
        CommandOrder(device, owner, product, CommandKind.LOCK, count) for device, owner, product, count in services
    ]
    with transaction.atomic():
        order_commands(orders, now=now)


def _reset(ids: Sequence[int], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_command SET due_at = NULL WHERE due_at IS NOT NULL")
        cursor.execute(_RESET, [now, list(ids)])
        cursor.execute("VACUUM ANALYZE devices_command")


def _frames(count: int, now: datetime) -> list[bytes]:
    """The very messages that dispatch sends."""
    with transaction.atomic():
        rows = claimed_rows(Command.objects.filter(status="PENDING", due_at__lte=now).order_by("due_at"), count)
    messages = [(f"amp/bench/d{row.device_id}/down/attr", payload_of(row, row.generation)) for row in rows]
    assert len(messages) == count, "not every command waits"
    return broker.frames_of(messages, expiry=COMMAND_EXPIRY_SECONDS)


def _dispatched(ids: Sequence[int], now: datetime, _number: int) -> float:
    """The task, as it is woken."""
    _reset(ids, now)
    spent = seconds(_dispatch)
    _require_sent(ids)
    return len(ids) / spent


def _one_by_one(ids: Sequence[int], publisher: MqttPublisher, now: datetime, _number: int) -> float:
    """As a task for each command would, without what the task itself costs."""
    _reset(ids, now)
    spent = seconds(lambda: _run(publisher, now))
    _require_sent(ids)
    return len(ids) / spent


def _dispatch() -> None:
    while tasks.dispatch_commands() >= CHUNK:
        pass


def _run(publisher: MqttPublisher, now: datetime) -> None:
    while dispatch_commands(now=now, transport=publisher, limit=1):
        pass


def _require_sent(ids: Sequence[int]) -> None:
    sent = Command.objects.filter(device_id__in=list(ids), status="SENT").count()
    if sent != len(ids):
        raise RuntimeError(f"{sent:,} of {len(ids):,} commands were sent")


def _raw(stage: Stage, frames: list[bytes], _number: int) -> float:
    return len(frames) / seconds(lambda: broker.publish_raw(stage.mqtt_url, frames))
