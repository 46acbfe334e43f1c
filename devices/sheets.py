"""Tables that people upload, as CSV or XLSX: what may be in a file before anybody looks at its rows (F90, F92).

A file that can't be read is refused as a whole, with the first things that are wrong; a line that can't be read is told
with its number, and the others go on. CSV: UTF-8 with or without a byte order mark; comma, semicolon or tab. XLSX: the
first sheet, values only. Nothing here trusts what a file says of its own size.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from amp.foundation.cells import plain
from devices.workbooks import LINES, MAX_COLUMNS, OLD_EXCEL, ZIP, WorkbookRefused, workbook_lines

MAX_BYTES = 10 * 1024 * 1024
MAX_ROWS = 50_000
MAX_LINE = 1_000
MAX_PROBLEMS = 100


class Problem(NamedTuple):
    """What is wrong with a line (0: with the file), in which column ("": all). `arguments` fill the words of `code`."""

    line: int
    code: str
    arguments: tuple[str, ...] = ()
    column: str = ""


class SheetRefused(Exception):
    """Nothing of the file can be used, for these reasons."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = problems


class Line(NamedTuple):
    """One filled line: its values by column, or what is wrong with it."""

    number: int
    values: dict[str, str]
    problem: Problem | None = None


class Sheet(NamedTuple):
    """Known columns in the order of the file, those left out, and the filled lines, at most 50,000."""

    columns: list[str]
    left_out: list[str]
    lines: list[Line]


class Columns(NamedTuple):
    """Columns of a kind of table: names by what people may call them, and those without which nothing goes."""

    names: Mapping[str, str]
    needed: Sequence[str]


class _Cells(NamedTuple):
    """One line as it was read."""

    number: int
    cells: list[str]
    problem: Problem | None = None


def read_sheet(content: bytes, columns: Columns) -> Sheet:
    """The table in a file of at most 10 MB. Raises SheetRefused, and nothing else, whatever the bytes are."""
    if len(content) > MAX_BYTES:
        raise SheetRefused(Problem(0, "file_too_large"))
    lines = iter(_lines(content))
    head = next(lines, None)
    if head is None:
        raise SheetRefused(Problem(0, "file_empty"))
    places, left_out = _header(head, columns)
    filled = [_named(line, places, len(head.cells)) for line in lines]
    if not filled:
        raise SheetRefused(Problem(0, "no_rows"))
    return Sheet([name for name in places if name], left_out, filled)


def _lines(content: bytes) -> Iterable[_Cells]:
    if content.startswith(ZIP):
        return _from_workbook(content)
    if content.startswith(OLD_EXCEL):
        raise SheetRefused(Problem(0, "old_excel"))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetRefused(Problem(0, "utf16"))
    if content.count(b"\n") + content.count(b"\r") > LINES:
        raise SheetRefused(Problem(0, "too_many_lines"))
    return _from_text(content.removeprefix(b"\xef\xbb\xbf").splitlines())


def _from_workbook(content: bytes) -> Iterator[_Cells]:
    """Filled lines only; the reader stops itself where there are too many."""
    found = 0
    try:
        for number, values, lossy in workbook_lines(content):
            cells = [plain(value) for value in values]
            if any(cells):
                found += 1
                _check_count(found)
                yield _Cells(number, cells, Problem(number, "number_rounded", (lossy,)) if lossy else None)
    except WorkbookRefused as refused:
        raise SheetRefused(Problem(0, refused.code)) from refused


def _from_text(lines: Sequence[bytes]) -> Iterator[_Cells]:
    delimiter, found = "", 0
    for number, raw in enumerate(lines, 1):
        if not raw.strip(b" ,;\t"):
            continue
        code = _line_problem(raw)
        if not delimiter:
            delimiter = max(",;\t", key=raw.decode(errors="replace").count)
        found += 1
        _check_count(found)
        yield _Cells(number, [], Problem(number, code)) if code else _split(raw.decode(), number, delimiter)


def _check_count(found: int) -> None:
    if found > MAX_ROWS + 1:  # with the header
        raise SheetRefused(Problem(0, "too_many_rows"))


def _split(text: str, number: int, delimiter: str) -> _Cells:
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return _Cells(number, [], Problem(number, "quotes_not_closed"))
    return _Cells(number, [plain(cell.strip()) for cell in cells])


def _line_problem(line: bytes) -> str:
    if len(line) > MAX_LINE:
        return "line_too_long"
    if b"\0" in line:
        return "nul_byte"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return ""


def _header(head: _Cells, columns: Columns) -> tuple[list[str], list[str]]:
    """The known name at each place ("" where there is none), and the names that are not known."""
    if head.problem:
        raise SheetRefused(head.problem)
    if len(head.cells) > MAX_COLUMNS:
        raise SheetRefused(Problem(head.number, "too_many_columns", (str(MAX_COLUMNS),)))
    places = [columns.names.get(_folded(cell), "") for cell in head.cells]
    known = [name for name in places if name]
    problems = [Problem(head.number, "column_missing", (name,)) for name in columns.needed if name not in known]
    twice = sorted({name for name in known if known.count(name) > 1})
    problems += [Problem(head.number, "column_twice", (name,)) for name in twice]
    if problems:
        raise SheetRefused(*problems)
    return places, [cell[:40] for cell, name in zip(head.cells, places, strict=True) if cell and not name]


def _folded(cell: str) -> str:
    return "_".join(cell.strip().lower().replace("-", " ").replace("_", " ").split())


def _named(line: _Cells, places: Sequence[str], width: int) -> Line:
    values = {name: cell for name, cell in zip(places, line.cells, strict=False) if name}
    if line.problem:
        return Line(line.number, values, line.problem)
    if any(line.cells[width:]):
        return Line(line.number, values, Problem(line.number, "too_many_values", (str(len(line.cells)), str(width))))
    if any("\0" in value for value in values.values()):
        return Line(line.number, {}, Problem(line.number, "nul_byte"))
    return Line(line.number, values)
