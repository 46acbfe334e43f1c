"""`manage.py schema`: write the API's description to docs/openapi.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from amp.foundation.api.schema import described

WHERE = Path(settings.BASE_DIR) / "docs" / "openapi.json"


def written() -> str:
    """The document as the file holds it: sorted and indented, so that a change reads well in a diff."""
    return json.dumps(json.loads(json.dumps(described(), default=str)), indent=1, sort_keys=True) + "\n"


class Command(BaseCommand):
    """Writes the file that a test compares with the code."""

    help = "Write docs/openapi.json"

    def handle(self, *args: Any, **options: Any) -> None:
        """Overwrite it."""
        WHERE.write_text(written())
        self.stdout.write(f"Wrote {WHERE.relative_to(settings.BASE_DIR)}.")
