"""Lists of device keys to renew: which columns there are, and what is wrong with a line (Q1, F92).

The first line names the columns: `key`, and if wanted `product` where devices of several products have the same key.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from devices.sheets import Columns, Line, Problem, read_sheet

COLUMNS = Columns(
    {
        "key": "key",
        "device": "key",
        "device_key": "key",
        "product": "product",
        "product_key": "product",
    },
    needed=("key",),
)
KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST = 200


class NamedDevice(NamedTuple):
    """One line: the device that it names, with the product's key or "", or what is wrong with it."""

    line: int
    key: str
    product: str = ""
    problem: Problem | None = None


def read_keys(content: bytes) -> list[NamedDevice]:
    """The lines of a file, at most 50,000. Raises devices.sheets.SheetRefused, and nothing else."""
    return [_named(line) for line in read_sheet(content, COLUMNS).lines]


def _named(line: Line) -> NamedDevice:
    key, product = (line.values.get(name, "")[:LONGEST] for name in ("key", "product"))
    problem = line.problem
    if problem is None and not KEY.fullmatch(key):
        problem = Problem(line.number, "bad_key", (key[:70],), "key")
    return NamedDevice(line.number, key, product, problem)
