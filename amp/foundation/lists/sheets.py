"""Tables as files: CSV by RFC 4180 with a byte order mark, in pieces; XLSX row by row into a temporary file."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from amp.foundation.cells import BOM
from amp.foundation.lists.columns import Value

XLSX_ROWS = 50_000
"""More rows would keep a browser waiting for too long, and the sheet itself ends at 1,048,576."""
CELL = 32_767
"""Characters that fit into one cell of a sheet."""
PIECE = 32 * 1024


def csv_pieces(titles: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[bytes]:
    """The file, in pieces of about 32 KB."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    buffer.write(BOM)
    writer.writerow(titles)
    for row in rows:
        writer.writerow(row)
        if buffer.tell() >= PIECE:
            yield _taken(buffer)
    yield _taken(buffer)


def write_xlsx(
    name: str, titles: Sequence[str], rows: Iterable[Sequence[Value]], *, counted: Callable[[], None]
) -> IO[bytes]:
    """The finished file, rewound; it removes itself when closed. `counted` is called for every row."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title=name[:31])
    sheet.freeze_panes = "A2"
    sheet.append(list(titles))
    for row in rows:
        sheet.append([_fitting(value) for value in row])
        counted()
    target = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the response that sends it)
    book.save(target)
    target.seek(0)
    return target


def _fitting(value: Value) -> Value:
    return ILLEGAL_CHARACTERS_RE.sub("", value)[:CELL] if isinstance(value, str) else value


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
