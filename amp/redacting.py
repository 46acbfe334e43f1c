"""What never leaves a process in a log line or an error report: secrets, by their names and by their looks (F83).

Pure: texts and plain structures in, the same without secrets out. It removes too much rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

REMOVED = "[removed]"
PLAIN = (bool, int, float, datetime)
"""Values that can't hold a secret."""
DEEP = 12
"""Structures nested deeper than this are removed whole."""

_WORDS = (
    r"passw(?:or)?d|passphrase|secret|token|authori[sz]ation|cookie|openid|api[_-]?key|private[_-]?key|field[_-]?key"
    r"|credential|signature|sessionid|session[_-]key|\bdsn\b|database_url|redis_url|mqtt_url|email_url|totp|recovery"
)
_NAME = re.compile(rf"(?:{_WORDS})|(?:^|[_-])key$|^key$|^sign$", re.IGNORECASE)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&}\])"']+)"""

_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A private key, in one line or in many.
    (re.compile(r"-----BEGIN [A-Z ]*KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z)", re.DOTALL), REMOVED),
    # The secret part of an API key: its prefix names it on the record.
    (re.compile(r"(amp_[a-z0-9]{8}_)[A-Za-z0-9_-]{20,}"), rf"\1{REMOVED}"),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), REMOVED),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s,;\"']+", re.IGNORECASE), rf"\1 {REMOVED}"),
    # user:password@ in an address.
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]+@"), rf"\1{REMOVED}@"),
    # Links that open something for whoever has them: renewal and pay pages, invitations, new passwords.
    (re.compile(r"(/(?:r|p|join|sandbox/pay)/)[^/\s?#\"'<>,;)\]]+"), rf"\1{REMOVED}"),
    (re.compile(r"(/password/)[^/\s\"']+/[^/\s?#\"']+"), rf"\1{REMOVED}"),
    # name=value, name: value, "name": "value".
    (
        re.compile(rf"""(["']?[\w-]*(?:{_WORDS})[\w-]*["']?\s*(?:=|:(?!//))\s*){_VALUE}""", re.IGNORECASE),
        rf"\1{REMOVED}",
    ),
)


def redacted_text(text: str) -> str:
    """The text without what looks like a secret."""
    for looks, instead in _LOOKS:
        text = looks.sub(instead, text)
    return text


def redacted(value: Any, depth: int = 0) -> Any:
    """A structure of mappings, sequences and texts without secrets.

    Objects become texts here: whoever renders them later would show what they hold, such as a request its path.
    """
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, bytes):
        return redacted_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        if depth > DEEP:
            return REMOVED
        return {name: REMOVED if is_secret(name) else redacted(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return REMOVED if depth > DEEP else [redacted(each, depth + 1) for each in value]
    return value if value is None or isinstance(value, PLAIN) else redacted_text(str(value))


def is_secret(name: object) -> bool:
    """Whether what goes by this name is a secret: password, X-Api-Key, csrfmiddlewaretoken."""
    return isinstance(name, str) and bool(_NAME.search(name))
