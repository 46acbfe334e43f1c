"""Sheets of stickers: A4, four by ten, a QR of 25 mm at level Q on each, and what tells the stickers apart.

All codes of a sheet have one version and one mask, and a code is a handful of drawing instructions in units of its
modules: a sheet of 1,000 costs little more than the matrices themselves (row G).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amp.foundation.pdf import A4, Canvas, draw, lines_of, mm, new_canvas
from devices.qr import PAPER, Matrix, matrix, runs, version_for

COLUMNS, ROWS = 4, 10
A_PAGE = COLUMNS * ROWS
SIDE = 25 * mm
"""Side of a code without its quiet zone: phones read it from an arm's length."""
LEFT, TOP = 5 * mm, 3.5 * mm
"""What printers leave white anyway."""
WIDTH, HEIGHT = (A4[0] - 2 * LEFT) / COLUMNS, (A4[1] - 2 * TOP) / ROWS
GAP = 2.5 * mm
MARK = 1.5 * mm
LINE_SIZE, NAME_SIZE, SMALL, TINY = 8.5, 7, 6.5, 5.5
LEADING = 1.5


class Sticker(NamedTuple):
    """What one sticker says: the link in its code, the device's name, the end of its serial number, the maker."""

    link: str
    name: str
    serial_tail: str
    maker: str


def pages_for(stickers: int) -> int:
    """Sheets of paper."""
    return -(-stickers // A_PAGE)


def sticker_sheet(stickers: Sequence[Sticker], *, line: str, title: str, cut_marks: bool) -> bytes:
    """The document; `line` is the short sentence beside each code ("Scan to renew")."""
    canvas, target = new_canvas(title, stickers[0].maker if stickers else "")
    version = max((version_for(link, PAPER) for link in {each.link for each in _longest(stickers)}), default=1)
    said = lines_of(line, LINE_SIZE, _text_width(), 3, bold=True)
    for number, sticker in enumerate(stickers):
        place = number % A_PAGE
        if place == 0:
            if number:
                canvas.showPage()
            if cut_marks:
                _draw_marks(canvas)
        _draw_sticker(canvas, place, sticker, matrix(sticker.link, PAPER, version), said)
    canvas.save()
    return target.getvalue()


def _longest(stickers: Sequence[Sticker]) -> list[Sticker]:
    return [max(stickers, key=lambda each: len(each.link))] if stickers else []


def _text_width() -> float:
    return WIDTH - SIDE - 2.5 * GAP


def _draw_sticker(canvas: Canvas, place: int, sticker: Sticker, modules: Matrix, said: list[str]) -> None:
    left = LEFT + (place % COLUMNS) * WIDTH
    middle = A4[1] - TOP - (place // COLUMNS + 0.5) * HEIGHT
    _draw_code(canvas, left + GAP, middle - SIDE / 2, modules)
    x, y, width = left + GAP + SIDE + GAP, middle + SIDE / 2 - LINE_SIZE, _text_width()
    for text in said:
        draw(canvas, x, y, text, LINE_SIZE, bold=True)
        y -= LINE_SIZE + LEADING
    y -= 2
    rows = int((y - (middle - SIDE / 2) + LINE_SIZE) // (NAME_SIZE + LEADING)) - 1  # one is the serial number's
    made_by, size = _maker(sticker.maker, width, rows - 1)
    for text in lines_of(sticker.name, NAME_SIZE, width, max(1, min(3, rows - len(made_by)))):
        draw(canvas, x, y, text, NAME_SIZE)
        y -= NAME_SIZE + LEADING
    y = middle - SIDE / 2 + len(made_by) * (size + LEADING)
    draw(canvas, x, y + LEADING / 2, f"…{sticker.serial_tail}", NAME_SIZE, bold=True)
    for text in made_by:
        y -= size + LEADING
        draw(canvas, x, y, text, size)


def _maker(name: str, width: float, rows: int) -> tuple[list[str], float]:
    """The maker's name in as many lines as are free, smaller where it is longer than that; and its size."""
    rows = max(1, min(3, rows))
    for size in (SMALL, TINY):
        if len(lines_of(name, size, width, rows + 1)) <= rows:
            return lines_of(name, size, width, rows), size
    return lines_of(name, TINY, width, rows), TINY


def _draw_code(canvas: Canvas, x: float, y: float, modules: Matrix) -> None:
    """The dark modules in whole numbers: the page is scaled so that a module is 1, counted from the top left."""
    module = SIDE / len(modules)
    drawn = " ".join(f"{run.column} {run.row} {run.length} 1 re" for run in runs(modules))
    canvas.addLiteral(f"q {module:.5f} 0 0 {-module:.5f} {x:.3f} {y + SIDE:.3f} cm 0 g {drawn} f Q")


def _draw_marks(canvas: Canvas) -> None:
    """A small cross at each corner of each sticker: where to cut."""
    canvas.setStrokeGray(0.6)
    canvas.setLineWidth(0.3)
    for row in range(ROWS + 1):
        y = A4[1] - TOP - row * HEIGHT
        for column in range(COLUMNS + 1):
            x = LEFT + column * WIDTH
            canvas.line(x - MARK, y, x + MARK, y)
            canvas.line(x, y - MARK, x, y + MARK)
