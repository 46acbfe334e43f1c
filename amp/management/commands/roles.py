"""`manage.py roles`: the table of roles and actions, for docs/roles.md (X2)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from amp.foundation.roles import roles_document


class Command(BaseCommand):
    """Prints the document."""

    help = "Print the table of roles and actions as Markdown."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """From the code alone."""
        self.stdout.write(roles_document(), ending="")
