"""PostgreSQL, Redis and Mosquitto die by kill -9 while devices are being told, and come back (F01–F09, R1, R5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest
from django.db import Error, connection

from amp.foundation import clock
from amp.foundation.models import SweepRun
from amp.foundation.scoping import system_scope
from devices.invariants import violations
from tests.journeys.crowd import Crowd
from tests.stack.daemon import Daemon
from tests.stack.mosquitto import Mosquitto
from tests.stack.postgresql import PostgreSQL
from tests.stack.processes import Product
from tests.stack.redis import Redis
from tests.stack.waiting import eventually

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
DEVICES = 40
MOVED_BY_HAND = {"periods_follow_each_other"}
"""The crowd expires before the time that was paid for, so that nobody waits for a year."""
DEAF = timedelta(seconds=40)
"""A heart beats every 15 s; in production `/health/ready` waits for 90 s."""


def test_what_was_ordered_before_a_server_died_is_done_after_it_is_back(
    product_on_test_database: Product, postgresql_server: PostgreSQL, redis_server: Redis, mosquitto: Mosquitto
) -> None:
    """Each dies twice: while locks go out, and while unlocks do."""
    amp = product_on_test_database
    amp.is_cold = True  # whoever manages containers starts command lines
    with system_scope():
        # A broker that dies forgets who came back before the bridge did; the next report says so.
        crowd = Crowd(mosquitto, DEVICES, report_every=5)
        for start in (amp.worker, amp.beat, amp.bridge):
            start()
        servers = cycle((postgresql_server, redis_server, mosquitto))
        with crowd.online():
            for number in range(3):
                crowd.expire()
                survives(next(servers), crowd, amp, locked=True)
                crowd.renew(f"card:{number}")
                survives(next(servers), crowd, amp, locked=False)
        eventually(lambda: wrong() - MOVED_BY_HAND == set(), within=60, every=1, what="nothing else wrong")


def wrong() -> set[str]:
    """What the audit of devices finds, by name."""
    return {found.name for found in violations(now=clock.now())}


def survives(server: Daemon, crowd: Crowd, amp: Product, *, locked: bool) -> None:
    """The server dies as soon as the first device has obeyed; all obey in the end, and the product knows."""
    wanted = str(locked).lower()
    eventually(
        lambda: supervised(amp) and any(device.properties["service_lock"] == wanted for device in crowd.devices),
        what="the first",
        within=120,
    )
    server.kill()
    server.start()
    connection.close()
    eventually(
        lambda: supervised(amp) and safely(lambda: crowd.is_locked(locked)),
        within=150,
        every=0.2,
        what=f"all have heard {wanted} after the death of {server.name}",
    )


def supervised(amp: Product) -> bool:
    """Who manages containers starts anew what has ended, and a worker that lives and consumes nothing (F07)."""
    for process in amp.processes:
        process.start()
    hearts = SweepRun.objects.filter(name="worker_heartbeat")
    pulse = safely(lambda: hearts.values_list("started_at", flat=True).first())
    if pulse and clock.wall() - pulse > DEAF:
        [worker] = [each for each in amp.processes if each.name.startswith("worker")]
        worker.restart()
        hearts.update(started_at=clock.wall())
    return True


def safely(look: Callable[[], Any]) -> Any:
    """A connection of ours may have died with its server."""
    try:
        return look()
    except Error:
        connection.close()
        return None
