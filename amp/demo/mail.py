"""Mail of the demo: it lands in a folder, and is read on a page."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from pathlib import Path
from typing import NamedTuple

SHOWN = 50
RULE = re.compile(rb"^-{79}\n", re.MULTILINE)
"""What Django's file backend puts after each message."""


class Letter(NamedTuple):
    """One mail as its reader sees it."""

    to: str
    subject: str
    sent: str
    text: str


def letters(directory: Path) -> list[Letter]:
    """The latest mails, newest first; none where the folder isn't there yet."""
    files = sorted(directory.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)[:SHOWN]
    return [letter for path in files for letter in reversed(_letters_in(path))][:SHOWN]


def _letters_in(path: Path) -> list[Letter]:
    return [_letter(part) for part in RULE.split(path.read_bytes()) if part.strip()]


def _letter(raw: bytes) -> Letter:
    message = message_from_bytes(raw, policy=policy.default)
    body = message.get_body(("plain",))
    text = str(body.get_content()) if body else ""
    return Letter(str(message["To"]), str(message["Subject"]), str(message["Date"]), text.strip())
