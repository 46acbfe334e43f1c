"""How one value looks once a person's traces in it are replaced (X6): pure Python."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

DOMAIN = "erased.invalid"
"""No mail ever reaches it (RFC 2606)."""
LEAST_LETTERS = 3
"""A shorter name in Latin letters is replaced only where it is the whole value: within a sentence it may be a word."""
_PSEUDONYM = re.compile(rf"person-[0-9a-f]{{12}}(?:@{re.escape(DOMAIN)})?")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class TraceKind(StrEnum):
    """What a text tells of a person."""

    EMAIL = "EMAIL"
    NAME = "NAME"
    PAYER = "PAYER"
    NUMBER = "NUMBER"


class Trace(NamedTuple):
    """One text by which a person can be told: an address, a name, an id at a gateway, a tax or phone number."""

    kind: TraceKind
    text: str


class Rewriting:
    """Replaces the traces of one person by their pseudonym, which is the same in every value."""

    def __init__(self, traces: Iterable[Trace], pseudonym: str) -> None:
        self.traces = sorted(set(traces), key=lambda each: (-len(each.text), each))
        self.pseudonym = pseudonym
        self._whole = {trace.text.lower(): trace for trace in self.traces}
        within = [trace for trace in self.traces if _is_found_within(trace)]
        self._pattern = re.compile("|".join(f"({_bounded(trace)})" for trace in within) or r"(?!)")
        self._groups = within

    def of(self, value: Any) -> Any:
        """A text, or a document of texts, without the traces; anything else as it is."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self.of(part) for name, part in value.items()}
            case list():
                return [self.of(part) for part in value]
        return value

    def text(self, value: str) -> str:
        """A text without the traces."""
        if (whole := self._whole.get(value.strip().lower())) is not None:
            return self.replacement(whole)
        return self._pattern.sub(lambda found: self.replacement(self._groups[(found.lastindex or 1) - 1]), value)

    def replacement(self, trace: Trace) -> str:
        """What stands in its place; an address stays one, so that what filters by it goes on."""
        return f"{self.pseudonym}@{DOMAIN}" if trace.kind is TraceKind.EMAIL else self.pseudonym


def is_pseudonym(text: str) -> bool:
    """Whether the value was replaced already."""
    return bool(_PSEUDONYM.fullmatch(text))


def only_own(value: Any, traces: Iterable[Trace]) -> Any:
    """The value as one person may have it: addresses of other people in it are hidden (GDPR Art. 15 (4))."""
    own = {trace.text.lower() for trace in traces}
    match value:
        case str():
            return _ADDRESS.sub(lambda found: found[0] if found[0].lower() in own else "…", value)
        case dict():
            return {name: only_own(part, traces) for name, part in value.items()}
        case list():
            return [only_own(part, traces) for part in value]
    return value


def _is_found_within(trace: Trace) -> bool:
    return trace.kind is not TraceKind.NAME or len(trace.text) >= LEAST_LETTERS or not trace.text.isascii()


def _bounded(trace: Trace) -> str:
    """Not as a part of another word, address or number; Chinese has no words to be a part of."""
    text = re.escape(trace.text)
    match trace.kind:
        case TraceKind.EMAIL:
            return rf"(?<![\w.+-])(?i:{text})(?![\w-])(?!\.\w)"
        case TraceKind.NAME if not trace.text.isascii():
            return text
    return rf"(?<![\w-]){text}(?![\w-])"
