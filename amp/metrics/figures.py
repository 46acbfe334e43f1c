"""What a scrape asks database and Redis: ages first, then what waits for a person. A fixed number of statements, each
of an index's first rows or of a table that doesn't grow with devices (X10)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import connection
from django.db.models import Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from amp.dead import dead_numbers
from amp.foundation.models import AlarmRow, SweepRun
from amp.foundation.scoping import system_scope
from amp.operations import waiting
from amp.operations.queues import read_queues
from devices.models import Bridge

log = logging.getLogger(__name__)


class Figures:
    """A collector for prometheus-client; `now` is product time, `wall` real time.

    What can't be reached is told as `amp_up` 0 of that part, and its figures are missing: never an error, since the
    counts of the processes are worth most when something is down.
    """

    def __init__(self, *, now: datetime, wall: datetime) -> None:
        self.now, self.wall = now, wall

    def collect(self) -> Iterator[Metric]:
        """Everything, the ages first."""
        up = GaugeMetricFamily("amp_up", "Whether the part answers.", labels=["part"])
        for part, read in {"database": self._database, "redis": self._redis}.items():
            families = _whole(part, read)
            up.add_metric([part], 0 if families is None else 1)
            yield from families or []
        yield up

    def _database(self) -> Iterator[Metric]:
        with system_scope():
            yield from _sweeps(self.wall)
            yield from _gauges("amp_oldest_due_seconds", OLDEST_DUE, "work", waiting.oldest_work(self.now))
            yield from _waiting()
            yield from _bridges(self.wall)

    def _redis(self) -> Iterator[Metric]:
        lengths = {queue.name: float(queue.length) for queue in read_queues(self.wall)}
        yield from _gauges("amp_queue_messages", "Wake-ups that no worker has taken yet.", "queue", lengths)


OLDEST_DUE = "Age of the oldest work of this kind whose moment has come, product time; 0 where none waits."


def _whole(part: str, read: Callable[[], Iterator[Metric]]) -> list[Metric] | None:
    """All figures of a part, or None: half of them would look like the whole."""
    try:
        return list(read())
    except Exception as away:  # noqa: BLE001 (whatever is broken, the rest is told)
        log.warning("Metrics of %s could not be read: %s", part, type(away).__name__)
        if part == "database":
            connection.close_if_unusable_or_obsolete()
        return None


def _sweeps(wall: datetime) -> Iterator[Metric]:
    runs = list(SweepRun.objects.order_by("name"))
    ages = {run.name: (wall - (run.finished_at or run.started_at)).total_seconds() for run in runs}
    yield from _gauges("amp_sweep_age_seconds", "Since the sweep's last run ended, or began.", "sweep", ages)
    failed = {run.name: float(bool(run.failed_because)) for run in runs}
    yield from _gauges("amp_sweep_failed", "Whether the sweep's last run failed.", "sweep", failed)
    lasted = {run.name: run.seconds for run in runs if run.seconds is not None}
    yield from _gauges("amp_sweep_last_seconds", "How long the sweep's last run took.", "sweep", lasted)
    found = {run.name: float(run.found) for run in runs}
    yield from _gauges("amp_sweep_found_rows", "Rows that the sweep's last run found.", "sweep", found)
    if "worker_heartbeat" in ages:
        yield _number("amp_worker_heartbeat_age_seconds", "Since a worker last ran a task.", ages["worker_heartbeat"])


def _waiting() -> Iterator[Metric]:
    dead = {kind: float(number) for kind, number in dead_numbers().items()}
    yield from _gauges("amp_dead_rows", "Rows of own work that were given up.", "kind", dead)
    alarms = AlarmRow.objects.filter(cleared_at=None).order_by().values_list("kind").annotate(Count("pk"))
    yield from _gauges("amp_open_alarms", "Alarms that are on.", "kind", {kind: float(n) for kind, n in alarms})
    waits = waiting.waiting()
    yield _number("amp_held_locks", "LOCK commands that a brake holds.", waits.held_locks)
    yield _number("amp_payment_exceptions", "Payments that wait for a person.", waits.payment_exceptions)
    words = "Payments whose outcome the gateway has yet to tell."
    yield _number("amp_unknown_attempts", words, waits.unknown_payments)


def _bridges(wall: datetime) -> Iterator[Metric]:
    bridges = list(Bridge.objects.order_by("name"))
    connected = {each.name: float(each.connected) for each in bridges}
    yield from _gauges("amp_bridge_connected", "Whether the bridge is connected to the broker.", "bridge", connected)
    beats = {each.name: (wall - each.beat_at).total_seconds() for each in bridges if each.beat_at}
    yield from _gauges("amp_bridge_beat_age_seconds", "Since the bridge last said that it lives.", "bridge", beats)
    for name, words, column in (
        ("amp_bridge_messages", "Messages of devices that the bridge took.", "received"),
        ("amp_bridge_dropped_messages", "Those of them that it refused.", "dropped"),
    ):
        family = CounterMetricFamily(name, words, labels=["bridge"])
        for each in bridges:
            family.add_metric([each.name], getattr(each, column))
        yield family


def _gauges(name: str, words: str, label: str, numbers: dict[str, float]) -> Iterator[Metric]:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    yield family


def _number(name: str, words: str, number: float) -> Metric:
    return GaugeMetricFamily(name, words, value=number)
