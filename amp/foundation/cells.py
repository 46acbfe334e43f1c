"""Text in cells of a spreadsheet: what a program could take for a formula is disarmed, and armed again when read (F90).

Excel, WPS and LibreOffice start a formula at `= + - @`, a tab or a carriage return, at the start of a cell and, where
they split a cell anew, after a semicolon, a tab or a line break. There an apostrophe goes before it. A leading
apostrophe gets one too, so that `plain(escaped(text)) == text` for any text.
"""

import re

_START = r"(?:(?<=[;\t\r\n])|(?<![\s\S]))"
_DANGER = r"(?=['=+\-@\t\r])"
_ESCAPE = re.compile(_START + _DANGER)
_UNESCAPE = re.compile(_START + "'" + _DANGER)
BOM = "\ufeff"
"""Tells Excel that a CSV file is UTF-8."""


def escaped(text: str) -> str:
    """`text` as it goes into a cell."""
    return _ESCAPE.sub("'", text)


def plain(cell: str) -> str:
    """The text that `escaped` wrote; other text as it is."""
    return _UNESCAPE.sub("", cell)
