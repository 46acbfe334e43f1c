"""Row B, for several bridges: processes that share the broker's messages, and take them as they are published."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from bench import broker
from bench.rounds import Figure, Target, in_turn, seconds
from bench.stage import Stage

GIVE_UP_SECONDS = 300
Words = Sequence[tuple[str, bytes]]
"""Topics and payloads."""


def figures(stage: Stage, rounds: int, said: dict[str, Words]) -> Iterator[Figure]:
    """Two bridges beside one; `said` is what is published by each side's name, so that no session comes twice."""
    several = {name: broker.frames_of(words) for name, words in said.items()}
    two, one = in_turn(rounds, partial(_taken, stage, 2, several), partial(_taken, stage, 1, several))
    what = f"{len(next(iter(several.values()))):,} messages, published while two bridges take them"
    yield Figure("B", what, "/s", "one bridge, the same way", two, one, Target(1))


def await_received(stage: Stage, total: int) -> None:
    """Return when the bridges have stored so many messages since their rows were removed."""
    deadline = time.perf_counter() + GIVE_UP_SECONDS
    with stage.connect(stage.large) as watcher:
        while True:
            rows = watcher.execute("SELECT name, received, dropped, last_dropped FROM devices_bridge").fetchall()
            if dropped := [row for row in rows if row[2]]:
                raise RuntimeError(f"Messages were dropped: {dropped}")
            if sum(int(str(row[1])) for row in rows) >= total:
                return
            if time.perf_counter() > deadline:
                raise RuntimeError(f"Stored in {GIVE_UP_SECONDS} s, of {total:,} messages: {rows}")
            time.sleep(0.02)


def _taken(stage: Stage, count: int, several: dict[str, list[bytes]], number: int) -> float:
    frames = several[f"{count}-{number}"]
    with stage.connect(stage.large) as database:
        database.execute("DELETE FROM devices_bridge")
        database.execute("VACUUM ANALYZE devices_presence, devices_presencesession")
    with ExitStack() as running:
        for place in range(1, count + 1):
            running.enter_context(_bridge(stage, f"{place}/{count}"))
        _await_listening(stage, count)
        return len(frames) / seconds(lambda: _published_and_stored(stage, frames))


def _published_and_stored(stage: Stage, frames: list[bytes]) -> None:
    broker.publish_raw(stage.mqtt_url, frames)
    await_received(stage, len(frames))


@contextmanager
def _bridge(stage: Stage, slot: str) -> Iterator[None]:
    """`manage.py bridge`, as production runs it."""
    environment = os.environ | {"DATABASE_URL": stage.database_url(stage.large)}
    process = subprocess.Popen([sys.executable, "manage.py", "bridge", "--slot", slot], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        broker.end_session(stage.mqtt_url, f"amp-bridge-{slot.replace('/', 'of')}")


def _await_listening(stage: Stage, count: int) -> None:
    deadline = time.perf_counter() + GIVE_UP_SECONDS
    with stage.connect(stage.large) as watcher:
        while watcher.execute("SELECT count(*) FROM devices_bridge WHERE connected").fetchone() != (count,):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{count} bridges didn't come up in {GIVE_UP_SECONDS} s")
            time.sleep(0.05)
