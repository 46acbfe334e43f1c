"""Row B, for several bridges: processes that share the broker's messages, and take them as they are published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bench import broker
from bench.rounds import Figure, Target, in_turn, seconds
from bench.stage import Stage
from tests.stack.processes import Product
from tests.stack.waiting import eventually

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
    with stage.connect(stage.large) as watcher:

        def is_stored() -> bool:
            rows = watcher.execute("SELECT name, received, dropped, last_dropped FROM devices_bridge").fetchall()
            if dropped := [row for row in rows if row[2]]:
                raise RuntimeError(f"Messages were dropped: {dropped}")
            return sum(int(str(row[1])) for row in rows) >= total

        eventually(is_stored, within=GIVE_UP_SECONDS, what=f"the last of {total:,} messages in the database")


def _taken(stage: Stage, count: int, several: dict[str, list[bytes]], number: int) -> float:
    frames = several[f"{count}-{number}"]
    with stage.connect(stage.large) as database:
        database.execute("DELETE FROM devices_bridge")
        database.execute("VACUUM ANALYZE devices_presence, devices_presencesession")
    slots = [f"{place}/{count}" for place in range(1, count + 1)]
    product = product_of(stage, f"bridges-{count}-{number}")
    try:
        for slot in slots:
            product.bridge("--slot", slot)
        return len(frames) / seconds(lambda: _published_and_stored(stage, frames))
    finally:
        product.end()
        for slot in slots:
            broker.end_session(stage.mqtt_url, f"amp-bridge-{slot.replace('/', 'of')}")


def product_of(stage: Stage, name: str) -> Product:
    """The product's processes on the large fleet, started by their command lines."""
    directory = stage.stack.directory / name
    environment = stage.stack.environment(database_url=stage.database_url(stage.large), redis_database=0)
    return Product(
        directory=directory,
        environment=environment,
        mosquitto=stage.stack.mosquitto,
        metrics=directory / "metrics",
        is_cold=True,
    )


def _published_and_stored(stage: Stage, frames: list[bytes]) -> None:
    broker.publish_raw(stage.mqtt_url, frames)
    await_received(stage, len(frames))
