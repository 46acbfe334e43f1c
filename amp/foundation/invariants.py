"""What an audit reports: one row per broken promise, made by each app's own `invariants`."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """`name` says which invariant is broken, `detail` where, with both figures."""

    name: str
    detail: str
