"""`manage.py clock`: show and move the product's time in demo and test mode."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amp.foundation import clock
from amp.foundation.services import testclock
from amp.foundation.services.testclock import TestClockRefused
from amp.foundation.wakeups import wake

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
STEP = re.compile(r"(-?[0-9]{1,6})([dhms])")
WOKEN = ("devices.tasks.advance_due_services", "billing.tasks.expire_orders")


class Command(BaseCommand):
    """Moves the one row that all processes read; they follow within a second."""

    help = "Show or move the product's time. Refused in production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`set MOMENT`, `advance STEP`, `reset`, `show`."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("show", help="print the product's time")
        actions.add_parser("reset", help="back to real time")
        actions.add_parser("set", help="move to a moment").add_argument("moment", help="such as 2027-01-31T09:00Z")
        actions.add_parser("advance", help="move on").add_argument("step", help="such as 30d, 12h, 90m or 1d12h")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Move, wake the sweeps, and print where the clock stands."""
        try:
            if action == "set":
                testclock.set_to(moment_of(options["moment"]), wall=clock.wall(), actor="command line")
            elif action == "advance":
                testclock.advance(step_of(options["step"]), wall=clock.wall(), actor="command line")
            elif action == "reset":
                testclock.reset(wall=clock.wall(), actor="command line")
        except TestClockRefused as refused:
            raise CommandError(str(refused)) from None
        if action != "show":
            for task in WOKEN:
                wake(task)
        self.stdout.write(f"{clock.now().isoformat(timespec='seconds')} ({_told(clock.shift())})")


def moment_of(text: str) -> datetime:
    """An instant as people type it, UTC where no zone is given. Raises CommandError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"“{text}” is not a moment. Write it like 2027-01-31T09:00Z.") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def step_of(text: str) -> timedelta:
    """A length of time such as 30d, 12h, 90m or 1d12h. Raises CommandError."""
    parts = STEP.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CommandError(f"“{text}” is not a length of time. Write it like 30d, 12h, 90m or 1d12h.")
    return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())


def _told(shift: timedelta) -> str:
    if not shift:
        return "real time"
    seconds = timedelta(seconds=round(abs(shift).total_seconds()))
    return f"{seconds} {'ahead of' if shift > timedelta() else 'behind'} real time"
