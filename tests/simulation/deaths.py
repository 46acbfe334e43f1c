"""How a process of the product ends in the middle, and how two of them come between each other's statements.

A process dies at one of its SQL statements, or after a commit before anybody is woken. That is no `Exception`: no
service can catch it, the open transaction is rolled back, what was committed stays. A twin runs on a connection of its
own, wholly between two statements of another process; where that one holds what it wants, it gives up at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection, connections

PATIENCE = "15ms"
"""A twin's `lock_timeout`: whoever holds the lock stands still until the twin is done, so waiting longer is in vain."""


class Death(BaseException):
    """kill -9."""


class Interrupter:
    """Does `what` at the n-th statement of the process that it is around, once."""

    def __init__(self, at: int, what: Callable[[], None]) -> None:
        self.left, self.what, self.done = at, what, False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Called by Django around each statement."""
        self.left -= 1
        if self.left == 0 and not self.done:
            self.done = True
            self.what()
        return execute(sql, params, many, context)


def die() -> None:
    """At this statement."""
    raise Death


@contextmanager
def interrupted(at: int, what: Callable[[], None]) -> Iterator[Interrupter]:
    """Around one process."""
    interrupter = Interrupter(at, what)
    with connection.execute_wrapper(interrupter):
        yield interrupter


class Twins:
    """The connection of the other process: made when it is first needed, and kept for the whole history."""

    other: Any = None


@contextmanager
def another_process() -> Iterator[None]:
    """Around one history."""
    try:
        yield
    finally:
        if Twins.other is not None:
            Twins.other.close()
            Twins.other = None


@contextmanager
def another_connection() -> Iterator[None]:
    """What runs here is another process to the database."""
    ours = connections["default"]
    if Twins.other is None:
        Twins.other = connections.create_connection("default")
        with Twins.other.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{PATIENCE}'")
    connections["default"] = Twins.other
    try:
        yield
    finally:
        connections["default"] = ours


def run_twin(task: Callable[[], object]) -> str:
    """Run `task` as another process; how it ended."""
    with another_connection():
        try:
            return f"twin {task()}"
        except OperationalError as held:
            return f"twin gave up ({type(held.__cause__).__name__})"
