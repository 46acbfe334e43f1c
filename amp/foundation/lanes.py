"""Two parts of one piece of work at once: the database stores one while the other is thought about."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Self, TypeVar

from django.db import close_old_connections, connections

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Other = TypeVar("Other")


def in_turn(ours: Callable[[], Result], other: Callable[[], Other]) -> tuple[Result, Other]:
    """As `SecondLane.beside`, without a lane: first `other`, then `ours`."""
    done = other()
    return ours(), done


class SecondLane:
    """A thread with a database connection of its own, kept from work to work. Use as a context manager, or `close`.

    It starts with the first work that it is given.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._has_worked = False

    def beside(self, ours: Callable[[], Result], other: Callable[[], Other]) -> tuple[Result, Other]:
        """Do `ours` here and `other` in the lane, each in a transaction of its own if it wants one.

        Returns when both have ended, and raises what either raised, ours first: then one of them may be done.
        """
        self._has_worked = True
        running = self._thread.submit(copy_context().run, _kept, other)
        try:
            done = ours()
        except BaseException:
            if failure := running.exception():
                log.warning("The second lane failed as well.", exc_info=failure)
            raise
        return done, running.result()

    def close(self) -> None:
        """End the thread and its connection; no work can follow."""
        try:
            if self._has_worked:
                self._thread.submit(connections.close_all).result()
        finally:
            self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()


def _kept(work: Callable[[], Result]) -> Result:
    """Nobody looks at the lane's connection between two works: the server, or a firewall on the way, may have ended it.

    So it is asked first, and made anew when it is as old as a request's may get. One on which something failed may be
    broken, and isn't kept.
    """
    close_old_connections()
    try:
        return work()
    except BaseException:
        connections.close_all()
        raise
