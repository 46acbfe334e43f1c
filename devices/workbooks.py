"""The first sheet of an XLSX file as lines of text, however the file lies about itself (F92).

An XLSX file is a ZIP archive of XML. Before it is opened: few parts, 64 MB unpacked in all as the archive declares it
(unpacking stops there), no document type in any of them, so that no entity can grow. Lines are then read one by one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from openpyxl import load_workbook

ZIP = b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
MAX_PARTS = 500
MAX_UNPACKED = 64 * 1024 * 1024
MAX_COLUMNS = 64
LINES = 200_000
"""Lines that are looked at, empty ones with them: a sheet may claim a filled cell in line 1,048,576."""
PIECE = 1024 * 1024
EXACT = 10**15
"""Above this a spreadsheet's number has lost digits, as an ICCID typed as a number does."""


class WorkbookRefused(Exception):
    """The workbook is not read; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def workbook_lines(content: bytes) -> Iterator[tuple[int, list[str], str]]:
    """(line number, cells as text, a number that lost its digits or "") of the first sheet; empty lines too.

    Raises WorkbookRefused and nothing else.
    """
    try:
        _check_parts(content)
        yield from _read(content)
    except WorkbookRefused:
        raise
    except Exception as failure:  # whatever the readers of ZIP and XML stumble over is the file's fault
        raise WorkbookRefused("not_a_workbook") from failure


def _check_parts(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
            raise WorkbookRefused("workbook_too_large")
        for part in parts:
            with archive.open(part) as stream:
                _refuse_document_type(stream)


def _refuse_document_type(stream: Any) -> None:
    tail = b""
    while piece := stream.read(PIECE):
        text = (tail + piece).replace(b"\0", b"").upper()  # XML may be UTF-16
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise WorkbookRefused("not_a_workbook")
        tail = piece[-32:]


def _read(content: bytes) -> Iterator[tuple[int, list[str], str]]:
    book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size is not believed
        for number, row in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS + 1, values_only=True), 1):
            if number > LINES:
                raise WorkbookRefused("too_many_lines")
            is_empty = row.count(None) == len(row)  # a sheet of a few bytes may claim as many as it likes
            yield (number, [], "") if is_empty else (number, _texts(row), _lossy(row))
    finally:
        book.close()


def _texts(row: tuple[Any, ...]) -> list[str]:
    cells = [_text(value) for value in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case float() if value.is_integer():
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
    return str(value).strip()


def _lossy(row: tuple[Any, ...]) -> str:
    return next((str(value) for value in row if type(value) in (int, float) and abs(value) >= EXACT), "")
