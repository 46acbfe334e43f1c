"""`manage.py export_personal_data`: what is held about one person, as a ZIP (X6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.personal.exporting import export_person
from amp.personal.persons import PersonRefused, find_person


class Command(BaseCommand):
    """Finds the person and writes the file; the audit has that it was done."""

    help = "Write everything that is held about one person into a ZIP of JSON files."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, further texts about them, and where to."""
        parser.add_argument("who", help="an e-mail address, the id of a payer at a gateway, or the number of an order")
        parser.add_argument(
            "--also", action="append", default=[], help="another text about this person, such as a phone"
        )
        parser.add_argument("--to", default="personal-data.zip", help="the file to write")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say what is in it."""
        with system_scope():
            try:
                person = find_person(options["who"], options["also"])
            except PersonRefused as refused:
                raise CommandError(str(refused)) from refused
            with Path(options["to"]).open("xb") as file:
                told = export_person(person=person, to=file, actor="export_personal_data", now=clock.now())
        for table, number in told.items():
            self.stdout.write(f"{table}: {number}")
        self.stdout.write(f"Written: {options['to']}")
