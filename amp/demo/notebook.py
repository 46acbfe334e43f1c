"""What the demo must remember and the database must not: passwords and renewal links, in a file beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

FILE = "demo.json"


def write_notes(directory: Path, notes: dict[str, Any]) -> None:
    """Keep `notes` for the next start, readable by this user alone. Written last: its presence means all is made."""
    draft = directory / f"{FILE}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(notes, file, indent=2)
    draft.replace(directory / FILE)


def read_notes(directory: Path) -> dict[str, Any] | None:
    """What was kept; None before the first seeding."""
    try:
        return cast(dict[str, Any], json.loads((directory / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None
