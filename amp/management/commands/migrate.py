"""`manage.py migrate`: Django's, which waits for no lock long while the release before it is at work (X8).

A change of a table waits for everyone who reads it, and everyone who comes after waits behind the change: one long
report would stop the product. So a migration gives up after a few seconds, lets the others through and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

LOCK_SECONDS, TRIES, PAUSE_SECONDS = 3.0, 60, 2.0
LOCK_NOT_AVAILABLE = "55P03"


class Command(migrate.Command):
    """What was migrated before a lock wasn't to be had stays so; the rest goes on from there."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's, and how patient to be."""
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-seconds", type=float, default=LOCK_SECONDS, help="how long a migration waits for a table, 3 s"
        )
        parser.add_argument("--tries", type=int, default=TRIES, help="how often it tries again before it gives up, 60")
        parser.add_argument("--pause-seconds", type=float, default=PAUSE_SECONDS, help="time between tries, 2 s")

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. Raises CommandError where some table was in use all the time; what was applied is recorded."""
        for number in range(1, options["tries"] + 1):
            try:
                with _impatient(options["database"], options["lock_seconds"]):
                    super().handle(*args, **options)
                    return
            except OperationalError as trouble:
                if not _is_about_a_lock(trouble):
                    raise
                self.stderr.write(f"A table is in use; nobody waits behind us. Trying again ({number}): {trouble}")
                time.sleep(options["pause_seconds"])
        raise CommandError(
            "Some table was in use all the time. End what uses it, see pg_stat_activity, and migrate again."
        )


@contextmanager
def _impatient(database: str, seconds: float) -> Iterator[None]:
    connection = connections[database]
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(seconds * 1000)}ms"])
    try:
        yield
    finally:
        if connection.connection and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")


def _is_about_a_lock(trouble: OperationalError) -> bool:
    return getattr(trouble.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE
