"""Files of gateways' bills as text, rows and cells, within limits (F92); what the readers in `billing.bills` share."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

from amp.foundation.money import parse_amount

BEIJING = timezone(timedelta(hours=8))
MAX_BYTES = 10 * 1024 * 1024
MAX_UNPACKED = 40 * 1024 * 1024
MAX_LINES = 50_000
MAX_CELL = 2_000
MAX_PARTS = 20


class BillRefused(Exception):
    """The file is no bill of that gateway and day; `code` says why, `place` in which line (0: the whole file)."""

    def __init__(self, code: str, place: int = 0, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.place, self.detail = code, place, detail[:60]


class Head:
    """Names of columns → where they are; gateways add columns, and sometimes move them."""

    def __init__(self, cells: Sequence[str], needed: Sequence[str]) -> None:
        self._places = {cell.lstrip("`"): at for at, cell in enumerate(cells)}
        missing = [name for name in needed if name not in self._places]
        if missing:
            raise BillRefused("not_a_bill", 1, missing[0])

    def optional(self, cells: Sequence[str], name: str) -> str:
        at = self._places.get(name)
        return cells[at] if at is not None and at < len(cells) else ""

    def get(self, cells: Sequence[str], name: str, place: int) -> str:
        value = self.optional(cells, name)
        if not value or len(value) > 64:
            raise BillRefused("cell", place, name)
        return value

    def first(self, cells: Sequence[str], names: Sequence[str], place: int) -> str:
        return next((found for name in names if (found := self.optional(cells, name))), "") or self.get(
            cells, names[0], place
        )


def text_of(content: bytes, encodings: Sequence[str]) -> str:
    if b"\0" in content:
        raise BillRefused("not_a_bill")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BillRefused("encoding")


def rows_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells, without the blanks and tabs around them; empty lines are left out."""
    try:
        for count, cells in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if count > MAX_LINES + 50:
                raise BillRefused("too_many_lines")
            if any(len(cell) > MAX_CELL for cell in cells) or len(cells) > 100:
                raise BillRefused("not_a_bill", count)
            found = [cell.strip() for cell in cells]
            if any(found):
                yield count, found
    except csv.Error as failure:
        raise BillRefused("not_a_bill") from failure


def amount_of(text: str, currency: str, place: int) -> int:
    try:
        return parse_amount(text, currency)
    except ValueError as wrong:
        raise BillRefused("amount", place, text) from wrong


def moment_of(text: str, place: int) -> datetime:
    try:
        found = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007  (the zone follows)
        return found.replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise BillRefused("time", place, text) from wrong


def count_of(cells: Sequence[str]) -> str:
    return cells[0].lstrip("`") if cells else ""


def expect(said: str, count: int) -> None:
    """The gateway says how many lines there are: a file that was cut off is refused."""
    if said != str(count):
        raise BillRefused("incomplete")
