"""`manage.py rotate_field_key`: bring all stored secrets under the AMP_FIELD_KEY in force (X8)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amp.foundation.services.resealing import seal_column_anew
from amp.sealed_columns import SEALED_COLUMNS


class Command(BaseCommand):
    """Seals anew what an earlier key has sealed; exit 1 where a secret can't be opened, or with --check has to be."""

    help = "Seal all stored secrets with AMP_FIELD_KEY; those of AMP_FIELD_KEYS_BEFORE are needless afterwards."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--check` changes nothing."""
        parser.add_argument("--check", action="store_true", help="only say what earlier keys still hold")

    def handle(self, *args: Any, **options: Any) -> None:
        """Column by column."""
        left = broken = 0
        for sealed in SEALED_COLUMNS:
            done = seal_column_anew(sealed, store=not options["check"])
            told = "sealed with an earlier key" if options["check"] else "sealed anew"
            self.stdout.write(f"{sealed.title}: {done.found} secrets, {done.moved} {told}, {done.broken} broken")
            left += done.moved if options["check"] else 0
            broken += done.broken
        if broken:
            raise CommandError(f"{broken} secrets open with no key. Add the key of then to AMP_FIELD_KEYS_BEFORE.")
        if left:
            raise CommandError(f"{left} secrets need an earlier key. Run manage.py rotate_field_key.")
        self.stdout.write("Everything is sealed with AMP_FIELD_KEY: no earlier key is needed.")
