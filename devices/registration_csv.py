"""Device lists as CSV files: what may be in them, and everything that is wrong with one, line by line (F68, F92).

The header names the columns: `key`, and if wanted `serial`, `name`, `iccid`, in any order. UTF-8, with or without a
byte order mark; comma, semicolon or tab. Nothing is taken from a file that has a problem.
"""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_BYTES = 10 * 1024 * 1024
MAX_ROWS = 50_000
MAX_LINE = 1_000
MAX_PROBLEMS = 100
LONGEST = {"key": 64, "serial": 64, "name": 120, "iccid": 22}
KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
DIGITS = re.compile(r"[0-9A-Fa-f]{0,22}")


class DeviceRow(NamedTuple):
    """One device to register."""

    key: str
    serial: str = ""
    name: str = ""
    iccid: str = ""


class Problem(NamedTuple):
    """What is wrong with a line; 0 for the file as a whole. `arguments` fill the sentence of `code`."""

    line: int
    code: str
    arguments: tuple[str, ...] = ()


class Parsed(NamedTuple):
    """Rows in the order of the file, or problems (the first 100, in the order of the file); never both."""

    rows: list[DeviceRow]
    problems: list[Problem]


def parse(source: bytes | BinaryIO) -> Parsed:
    """Read a list of devices. Reads at most 10 MB, however long the file is."""
    content = source if isinstance(source, bytes) else source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        return _refused(0, "file_too_large")
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    problems = _line_problems(lines)
    if problems:
        return Parsed([], problems[:MAX_PROBLEMS])
    text = [line.decode() for line in lines]
    first = next((number for number, line in enumerate(text) if line.strip()), None)
    if first is None:
        return _refused(0, "file_empty")
    return _parse_table(text, first)


def _parse_table(text: list[str], first: int) -> Parsed:
    delimiter = max(",;\t", key=text[first].count)
    header = [cell.strip().lower() for cell in next(csv.reader([text[first]], delimiter=delimiter))]
    problems = list(_header_problems(header, first + 1))
    filled = [(number, line) for number, line in enumerate(text[first + 1 :], first + 2) if line.strip(" ,;\t")]
    if not filled:
        problems.append(Problem(0, "no_devices"))
    if len(filled) > MAX_ROWS:
        problems.append(Problem(0, "too_many_rows", (str(len(filled)),)))
    if problems:
        return Parsed([], problems)
    return _parse_rows(header, filled, delimiter)


def _parse_rows(header: list[str], filled: list[tuple[int, str]], delimiter: str) -> Parsed:
    rows: list[DeviceRow] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, line in filled:
        found = _read_row(header, line, number, delimiter)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            problems.extend(_row_problems(found, number, seen))
            rows.append(found)
        if len(problems) >= MAX_PROBLEMS:
            break
    return Parsed([] if problems else rows, problems[:MAX_PROBLEMS])


def _read_row(header: list[str], line: str, number: int, delimiter: str) -> DeviceRow | Problem:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return Problem(number, "quotes_not_closed")
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        return Problem(number, "too_many_columns", (str(len(cells)), str(len(header))))
    return DeviceRow(**{name: cell.strip() for name, cell in zip(header, cells, strict=False)} | _no_key(header, cells))


def _no_key(header: list[str], cells: list[str]) -> dict[str, str]:
    """A line shorter than the column of the key has an empty key."""
    return {} if header.index("key") < len(cells) else {"key": ""}


def _line_problems(lines: list[bytes]) -> list[Problem]:
    """What would break the reading of a line itself."""
    problems = []
    for number, line in enumerate(lines, 1):
        code = _line_problem(line)
        if code:
            problems.append(Problem(number, code))
        if len(problems) >= MAX_PROBLEMS:
            break
    return problems


def _line_problem(line: bytes) -> str | None:
    if len(line) > MAX_LINE:
        return "line_too_long"
    if b"\0" in line:
        return "nul_byte"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return None


def _header_problems(header: list[str], number: int) -> Iterator[Problem]:
    if "key" not in header:
        yield Problem(number, "header_without_key")
    for name in header:
        if name not in LONGEST:
            yield Problem(number, "unknown_column", (name[:40],))
    if len(set(header)) < len(header):
        yield Problem(number, "column_twice")


def _row_problems(row: DeviceRow, number: int, seen: dict[str, int]) -> Iterator[Problem]:
    if not KEY.fullmatch(row.key):
        yield Problem(number, "bad_key", (row.key[:70],))
    elif row.key in seen:
        yield Problem(number, "key_twice", (row.key, str(seen[row.key])))
    seen.setdefault(row.key, number)
    for name, longest in LONGEST.items():
        if name != "key" and len(getattr(row, name)) > longest:
            yield Problem(number, "too_long", (name, str(longest)))
    if not DIGITS.fullmatch(row.iccid):
        yield Problem(number, "bad_iccid", (row.iccid[:40],))


def _refused(line: int, code: str) -> Parsed:
    return Parsed([], [Problem(line, code)])
