"""Paper: fonts and text for documents as PDF, English and Chinese. Sizes are millimetres and points.

Latin text is set in Helvetica and everything else in STSong-Light, which every reader of PDF substitutes itself: no
font is shipped or embedded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

__all__ = ["A4", "Canvas", "draw", "draw_right", "fitted", "lines_of", "mm", "new_canvas", "width_of"]

LATIN, LATIN_BOLD, CHINESE = "Helvetica", "Helvetica-Bold", "STSong-Light"
ELLIPSIS = "..."


def new_canvas(title: str, author: str) -> tuple[Canvas, io.BytesIO]:
    """An empty A4 document with its title, and where it is written to by `save()`."""
    _register()
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4, pageCompression=1)
    canvas.setTitle(title)
    canvas.setAuthor(author)
    canvas.setCreator("AMP")
    return canvas, target


def draw(canvas: Canvas, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
    """One line of text that begins at (x, y), points from the lower left."""
    text = printable(text)
    canvas.setFont(font_of(text, bold=bold), size)
    canvas.drawString(x, y, text)


def draw_right(canvas: Canvas, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
    """One line of text that ends at (x, y)."""
    draw(canvas, x - width_of(text, size, bold=bold), y, text, size, bold=bold)


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Points."""
    _register()
    text = printable(text)
    return float(pdfmetrics.stringWidth(text, font_of(text, bold=bold), size))


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """As much of `text` as fits into `width` points; what was cut off shows as three dots."""
    if width_of(text, size, bold=bold) <= width:
        return text
    while text and width_of(text + ELLIPSIS, size, bold=bold) > width:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


def lines_of(text: str, size: float, width: float, most: int, *, bold: bool = False) -> list[str]:
    """`text` broken at spaces, and within words that are too long, into at most `most` lines."""
    lines: list[str] = []
    for piece in _pieces(text):
        whole = f"{lines[-1]}{piece}" if lines else piece
        if lines and width_of(whole.strip(), size, bold=bold) <= width:
            lines[-1] = whole
        else:
            lines.append(piece)
    if len(lines) > most:
        lines[most - 1 :] = ["".join(lines[most - 1 :])]
    return [fitted(line.strip(), size, width, bold=bold) for line in lines]


def font_of(text: str, *, bold: bool = False) -> str:
    """Helvetica where it has all characters, else the Chinese font (which has one weight)."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return CHINESE
    return LATIN_BOLD if bold else LATIN


def printable(text: str) -> str:
    """Without control characters, and with a sign in the place of what the Chinese font can't have."""
    return "".join(_shown(character) for character in text if character >= " " and character != "\x7f")


def _shown(character: str) -> str:
    return character if ord(character) <= 0xFFFF and not 0xD800 <= ord(character) <= 0xDFFF else "?"


def _pieces(text: str) -> Iterator[str]:
    """Words with the space before them; Chinese breaks anywhere."""
    word = ""
    for character in text:
        if character == " " or ord(character) > 0x2E7F:
            if word:
                yield word
            word = character
        else:
            word += character
    if word:
        yield word


@cache
def _register() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
