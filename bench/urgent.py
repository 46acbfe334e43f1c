"""Row C, for one payment: how long until its UNLOCK is at the device while 10,000 LOCKs are due before it (A21)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from statistics import quantiles

from celery import current_app
from django.db import connection

from amp.foundation import clock
from amp.foundation.bulk import chunks
from bench import broker
from bench.bridges import product_of
from bench.renewal import attempted, expire, pay, plan_of
from bench.rounds import Figure, Target
from bench.stage import Stage
from billing.models import PaymentAttempt
from catalog.models import Product
from devices.models import Device
from devices.services.commands import DISPATCH
from tests.stack.mosquitto import Mosquitto
from tests.stack.waiting import eventually

QUEUES = 4
"""Times that a round fills the queue."""
PAYMENTS = 10
"""Made one after another while a queue is worked off; fewer where a fleet is small."""

_ONLINE = "UPDATE devices_presence SET is_online = true WHERE device_id = ANY(%s)"
_Heard = Callable[[], dict[int, float]]


def figures(stage: Stage, rounds: int, locks: Sequence[int], fill: Callable[[], None]) -> Iterator[Figure]:
    """`fill` makes the LOCKs of the devices `locks` due again; a worker of the product's does everything else."""
    attempts = _attempts(QUEUES * rounds, set(locks))
    stage.stack.redis.client(0).flushdb()  # wake-ups of what was measured before
    product = product_of(stage, "urgent")
    try:
        product.worker()
        with _listening(stage.stack.mosquitto, list(attempts), product.directory / "heard") as heard:
            queues = iter(chunks(list(attempts.items()), len(attempts) // (QUEUES * rounds)))
            by_round = [
                list(chain.from_iterable(_waits(dict(next(queues)), fill, heard) for _queue in range(QUEUES)))
                for _round in range(rounds)
            ]
    finally:
        product.end()
    what = f"payment to UNLOCK at the device, p99, behind {len(locks):,} LOCKs"
    p99 = [quantiles(waits, n=100, method="inclusive")[-1] for waits in by_round]
    yield Figure("C", what, "s", "", p99, target=Target(5, at_most=True))


def _attempts(queues: int, busy: set[int]) -> dict[int, PaymentAttempt]:
    """Expired devices that listen, each with a payment about to be made; as many for each queue."""
    now = clock.wall()
    made = Product.objects.order_by("pk")[0]
    plan = plan_of(made, now)
    wanted = PAYMENTS * queues
    ids = Device.objects.filter(product=made).order_by("pk").values_list("pk", flat=True)[: wanted + len(busy)]
    payers = [pk for pk in ids if pk not in busy][:wanted]
    payers = payers[: len(payers) // queues * queues]
    expire(payers, now)
    with connection.cursor() as cursor:
        cursor.execute(_ONLINE, [payers])
    return {pk: attempted([pk], plan, now) for pk in payers}


def _waits(paid: dict[int, PaymentAttempt], fill: Callable[[], None], heard: _Heard) -> list[float]:
    """Seconds of each payment, from before it is settled until the device's own connection has the UNLOCK."""
    fill()
    current_app.send_task(DISPATCH, ignore_result=True)
    began = {}
    for device, attempt in paid.items():
        began[device] = clock.wall().timestamp()
        pay(attempt, clock.wall())
    eventually(lambda: heard().keys() >= paid.keys(), within=60, what="the UNLOCK of each device that was paid for")
    return [heard()[device] - at for device, at in began.items()]


@contextmanager
def _listening(mosquitto: Mosquitto, devices: Sequence[int], file: Path) -> Iterator[_Heard]:
    """These devices on a connection of their own; yields what tells when each has got its first UNLOCK."""
    client = "bench-payers"
    filters = [f"amp/+/d{device}/down/#" for device in devices]
    command = broker.mosquitto_sub(mosquitto.url, client, filters, "-q", "1", "-F", "%U %t %p")

    def heard() -> dict[int, float]:
        words = [line.split(" ", 2) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        unlocks = [(topic, at) for at, topic, payload in words if '"false"' in payload]
        return {int(topic.split("/")[2].removeprefix("d")): float(at) for topic, at in reversed(unlocks)}

    with file.open("wb") as out:
        process = subprocess.Popen(["stdbuf", "-oL", *command], stdout=out)
    try:
        eventually(lambda: mosquitto.subscriptions(client, filters[-1]), what="the payers' subscriptions")
        yield heard
    finally:
        process.terminate()
        process.wait()
