"""Waiting for another process: poll until a deadline, never a bare sleep; and doing things at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Call `probe` every `every` seconds until its result is truthy, and return that result.

    The default suits a machine that is busy with something else: a test that polls loses nothing by it. Raises
    `AssertionError`, naming `what` was awaited, when `within` seconds have passed. Exceptions of the probe
    are the caller's: catch inside it what may happen while the other side starts.
    """
    deadline = time.monotonic() + within
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true within {within:g} s (last: {result!r})")
        time.sleep(every)


def at_once(*work: Callable[[], object], scoped: bool = True, within: float = 60) -> list[Any]:
    """Do all of `work` at the same moment, each in a thread with a connection of its own, in the system's scope.

    What each answered or raised, in the order of `work`; without `scoped` each has to bring its own scope. Raises
    `AssertionError` where one isn't done `within` seconds.
    """
    from django.db import connection

    from amp.foundation.scoping import system_scope

    answers: list[Any] = [None] * len(work)
    start = threading.Barrier(len(work))

    def run(place: int) -> None:
        try:
            with system_scope() if scoped else nullcontext():
                start.wait(within)
                answers[place] = work[place]()
        except Exception as failure:  # noqa: BLE001 (the caller looks at whatever it was)
            answers[place] = failure
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return answers


def failures(answers: list[Any]) -> list[Exception]:
    """What went wrong of it."""
    return [answer for answer in answers if isinstance(answer, Exception)]


def waits_for_a_lock() -> bool:
    """Whether anybody waits for a lock in our database.

    May be asked inside a transaction, where pg_stat_activity would go on showing what it showed at first.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
