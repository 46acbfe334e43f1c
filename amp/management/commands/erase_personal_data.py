"""`manage.py erase_personal_data`: forget one person; ledgers stay whole (X6)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.personal.erasing import erase_person, unfinished
from amp.personal.persons import Person, PersonRefused, find_person
from amp.personal.rows import counted, stays

ACTOR = "erase_personal_data"


class Command(BaseCommand):
    """Without `--yes` it says what would be replaced and what stays."""

    help = "Replace everything that tells who one person is by a pseudonym."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, further texts about them, and whether to do it."""
        parser.add_argument("who", nargs="?", help="an e-mail address, a payer's id at a gateway, or an order number")
        parser.add_argument(
            "--also", action="append", default=[], help="another text about this person, such as a phone"
        )
        parser.add_argument("--yes", action="store_true", help="do it; without it nothing changes")
        parser.add_argument("--resume", action="store_true", help="go on with erasures that were interrupted")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell, or do it and tell."""
        with system_scope():
            try:
                if options["resume"]:
                    for _erasure, person in unfinished():
                        self._erase(person)
                    return
                person = find_person(options["who"] or "", options["also"])
                self._erase(person) if options["yes"] else self._tell(person)
            except PersonRefused as refused:
                raise CommandError(str(refused)) from refused

    def _tell(self, person: Person) -> None:
        for model, number in counted(person).items():
            self.stdout.write(f"{model._meta.label}: {number}")
        for each in stays(person):
            self.stdout.write(f"Stays: {each.what}: {each.number}. {each.why}")
        self.stdout.write("Nothing was changed. Add --yes to erase.")

    def _erase(self, person: Person) -> None:
        done = erase_person(person=person, actor=ACTOR, now=clock.now(), wall=clock.wall())
        for table, number in done.rows.items():
            self.stdout.write(f"{table}: {number}")
        self.stdout.write(f"Erased: {done.pseudonym}")
