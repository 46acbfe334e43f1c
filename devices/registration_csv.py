"""Lists of devices to register: which columns there are, and everything that is wrong with a row (F68, F92).

The first line names the columns: `key`, and if wanted `serial`, `name`, `iccid`, and `product` where a file holds
devices of several products.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from devices.sheets import Columns, Line, Problem, Sheet, read_sheet

COLUMNS = Columns(
    {
        "key": "key",
        "device_key": "key",
        "serial": "serial",
        "serial_number": "serial",
        "name": "name",
        "iccid": "iccid",
        "product": "product",
        "product_key": "product",
    },
    needed=("key",),
)
LONGEST = {"serial": 64, "name": 120, "iccid": 22}
KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
DIGITS = re.compile(r"[0-9A-Fa-f]{0,22}")


class DeviceRow(NamedTuple):
    """One device to register."""

    key: str
    serial: str = ""
    name: str = ""
    iccid: str = ""


class ReadRow(NamedTuple):
    """One line of a list as far as it can be judged without knowing what there is already."""

    line: int
    values: dict[str, str]
    problems: list[Problem]


def read_devices(content: bytes, product: str = "") -> tuple[Sheet, list[ReadRow]]:
    """Rows of a file, each with its problems; `product` is the key meant where a row names none.

    Raises devices.sheets.SheetRefused, and nothing else.
    """
    sheet = read_sheet(content, COLUMNS)
    seen: dict[tuple[str, ...], int] = {}
    return sheet, [_read(line, product, seen) for line in sheet.lines]


def device_row(values: dict[str, str]) -> DeviceRow:
    """What a good row registers."""
    return DeviceRow(values["key"], *(values.get(name, "") for name in LONGEST))


def key_problems(
    line: Line, values: dict[str, str], what: tuple[str, ...], seen: dict[tuple[str, ...], int]
) -> Iterator[Problem]:
    """Problems of the columns that say which device a row is about; `what` must come once in a file."""
    if not KEY.fullmatch(values.get("key", "")):
        yield Problem(line.number, "bad_key", (values.get("key", "")[:70],), "key")
    elif not values["product"]:
        yield Problem(line.number, "product_missing", (), "product")
    elif seen.setdefault(what, line.number) != line.number:
        yield Problem(line.number, "twice", (str(seen[what]),), "key")


def _read(line: Line, product: str, seen: dict[tuple[str, ...], int]) -> ReadRow:
    if line.problem:
        return ReadRow(line.number, line.values, [line.problem])
    values = {"key": "", **line.values, "product": line.values.get("product") or product}
    what = (values["product"], values["key"])
    return ReadRow(line.number, values, [*key_problems(line, values, what, seen), *_details(line, values)])


def _details(line: Line, values: dict[str, str]) -> Iterator[Problem]:
    for name, longest in LONGEST.items():
        if len(values.get(name, "")) > longest:
            yield Problem(line.number, "too_long", (str(longest),), name)
    if not DIGITS.fullmatch(values.get("iccid", "")):
        yield Problem(line.number, "bad_iccid", (values["iccid"][:40],), "iccid")
