"""QR codes: their matrices, and drawings of them. Level M on screens, level Q on paper.

The library chooses among eight masks by drawing all of them and grading each, which is most of its work; scanners read
any mask, so one is fixed here. Where the bits of a version go is looked up, not walked anew for each code (row G).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import qrcode
from django.utils.html import format_html
from django.utils.safestring import SafeString
from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.util import mask_func

SCREEN, PAPER = ERROR_CORRECT_M, ERROR_CORRECT_Q
MASK = 2
"""Stripes of three columns: the cheapest mask to compute that breaks up runs."""
QUIET = 4
"""Modules of white around a code that ISO 18004 asks for."""
SCREEN_QUIET = 2
"""On a screen the card around the code is white as well."""

Matrix = list[list[bool]]


class Run(NamedTuple):
    """Dark modules beside each other in one row, counted from the top left."""

    column: int
    row: int
    length: int


def matrix(text: str, level: int = SCREEN, version: int | None = None) -> Matrix:
    """Rows of dark modules without a border; the smallest version that holds `text` unless one is named.

    Raises qrcode's DataOverflowError where the named version is too small.
    """
    code = _Code(version=version, error_correction=level, mask_pattern=MASK)
    code.add_data(text, optimize=0)
    code.make(fit=version is None)
    return code.modules


def version_for(text: str, level: int) -> int:
    """The smallest version that holds `text`: one for a whole sheet, whose links are equally long."""
    code = _Code(error_correction=level, mask_pattern=MASK)
    code.add_data(text, optimize=0)
    return int(code.best_fit())


def runs(modules: Matrix) -> list[Run]:
    """The dark modules as few pieces: a drawing with a third of the instructions."""
    found = []
    for row, cells in enumerate(modules):
        column, line = 0, bytes(cells)
        while (column := line.find(1, column)) >= 0:
            end = line.find(0, column)
            end = len(line) if end < 0 else end
            found.append(Run(column, row, end - column))
            column = end
    return found


def qr_svg(text: str, label: str) -> SafeString:
    """An SVG of `text`, black on white whatever the theme; `label` is what a screen reader says."""
    modules = matrix(text)
    size = len(modules) + 2 * SCREEN_QUIET
    path = "".join(
        f"M{run.column + SCREEN_QUIET},{run.row + SCREEN_QUIET}h{run.length}v1h-{run.length}z" for run in runs(modules)
    )
    return format_html(
        '<div role="img" aria-label="{}"><svg xmlns="http://www.w3.org/2000/svg" width="{}mm" height="{}mm" '
        'viewBox="0 0 {} {}"><path d="{}" fill="#000" fill-rule="nonzero" stroke="none"/></svg></div>',
        *(label, size, size, size, size, path),
    )


class _Code(qrcode.QRCode):  # type: ignore[misc,type-arg,unused-ignore]
    """The library's code, whose bits are placed from a table."""

    modules: Matrix

    def map_data(self, data: Any, mask_pattern: int) -> None:
        """Put the bits where the version has free modules, turned over where the mask says so."""
        rows, columns, flips = _places(self.version, mask_pattern)
        bits = int.from_bytes(bytes(data), "big") << (len(flips) - 8 * len(data))
        placed = f"{bits ^ int(flips, 2):0{len(flips)}b}"
        modules = self.modules
        for row, column, bit in zip(rows, columns, placed, strict=True):
            modules[row][column] = bit == "1"


class _Blank(qrcode.QRCode):  # type: ignore[misc,type-arg,unused-ignore]
    """A code with its patterns alone, which tells where bits would go."""

    walked: list[tuple[int, int]]

    def map_data(self, data: Any, mask_pattern: int) -> None:
        """Look, and draw nothing."""
        self.walked = _free(self.modules)


@cache
def _places(version: int, mask: int) -> tuple[list[int], list[int], str]:
    """Rows and columns of the free modules of a version in the order of its bits, and which of them the mask flips."""
    blank = _Blank(version=version, error_correction=PAPER, mask_pattern=mask)
    blank.makeImpl(True, mask)
    walked = blank.walked
    flips = mask_func(mask)
    return (
        [row for row, _column in walked],
        [column for _row, column in walked],
        "".join("1" if flips(row, column) else "0" for row, column in walked),
    )


def _free(modules: Sequence[Sequence[bool | None]]) -> list[tuple[int, int]]:
    """Modules that no pattern has taken, by pairs of columns from the right, upwards and downwards in turn."""
    size = len(modules)
    pairs = [column if column > 6 else column - 1 for column in range(size - 1, 0, -2)]  # column 6 is the timing's
    found = []
    for number, right in enumerate(pairs):
        lines = range(size) if number % 2 else range(size - 1, -1, -1)
        found += [(row, column) for row in lines for column in (right, right - 1) if modules[row][column] is None]
    return found
