"""Two parts of one piece of work at once: the database stores one while the other is thought about."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Self, TypeVar

from django.db import connections

Result = TypeVar("Result")


class SecondLane:
    """A thread with a database connection of its own, kept from work to work. Use as a context manager, or `close`.

    It starts with the first work that it is given.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def beside(self, ours: Callable[[], Result], other: Callable[[], Result]) -> tuple[Result, Result]:
        """Do `ours` here and `other` in the lane, each in a transaction of its own if it wants one.

        Returns when both have ended, and raises what either raised, ours first: then one of them may be done.
        """
        running = self._thread.submit(copy_context().run, self._kept, other)
        try:
            done = ours()
        finally:
            wait([running])
        return done, running.result()

    def close(self) -> None:
        """End the thread and its connection; no work can follow."""
        self._thread.submit(connections.close_all).result()
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    @staticmethod
    def _kept(work: Callable[[], Result]) -> Result:
        """A connection on which something failed may be broken: the next work gets another."""
        try:
            return work()
        except BaseException:
            connections.close_all()
            raise
