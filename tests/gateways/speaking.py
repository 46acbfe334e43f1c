"""An HTTP answer, as both wires give it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Reply:
    """`status` 0 means none: the connection is cut, as when an answer is lost on its way."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
