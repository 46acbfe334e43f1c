"""`manage.py audit`: does every promise hold, from the records alone?"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts import invariants as alerts
from amp.foundation import clock
from amp.foundation.scoping import system_scope
from billing import invariants as billing
from devices import invariants as devices


class Command(BaseCommand):
    """Checks every invariant of every app; exit 1 where one is broken."""

    help = "Check every invariant; exit 1 where one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--json` prints a machine-readable list."""
        parser.add_argument("--json", action="store_true", help="print the violations as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the checks and tell."""
        now = clock.now()
        with system_scope():
            found = [*devices.violations(now=now), *billing.violations(), *alerts.violations(now=now)]
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not found, "violations": [each._asdict() for each in found]}))
        else:
            for violation in found:
                self.stdout.write(f"{violation.name}: {violation.detail}")
            if not found:
                self.stdout.write("Every invariant holds.")
        if found:
            raise CommandError(f"{len(found)} violation{'' if len(found) == 1 else 's'}.", returncode=1)
