"""Reading facts out of a gateway's answer. Nothing is converted on the way: what isn't exactly an amount or a number
is no fact (F30, F38). All raise ValueError."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from amp.foundation.money import MAX_MINOR

TRANSACTION = re.compile(r"[0-9A-Za-z]{6,64}")
CURRENCY = re.compile(r"[A-Z]{3}")
MERCHANT = re.compile(r"[!-~]{1,64}")


def word(value: object, pattern: re.Pattern[str]) -> str:
    """A text of exactly this shape."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not such a word")
    return value


def minor(value: object) -> int:
    """A whole number of minor units: 19900.9, "19900" and true are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_MINOR:
        raise ValueError("not an amount")
    return value


def instant(value: object) -> datetime:
    """An instant with its zone, in UTC."""
    if not isinstance(value, str):
        raise ValueError("not a moment")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(UTC)
