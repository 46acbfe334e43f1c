"""Text in cells is never a formula, and is the same again when it is read (F90)."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp.foundation.cells import escaped, plain
from amp.foundation.lists.sheets import csv_pieces

FORMULA = re.compile(r"(?:^|[;\t\r\n])[=+\-@\t\r]")
TEXTS = st.one_of(st.text(), st.text(alphabet="=+-@\t\r\n;,'\" a1"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+86 10", "'+86 10"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("pump;=1", "pump;'=1"),
        ("pump\n=1", "pump\n'=1"),
        ("'already", "''already"),
        ("pump = 1", "pump = 1"),
        ("a-b", "a-b"),
        ("", ""),
    ],
)
def test_what_a_program_takes_for_a_formula_is_disarmed_F90(text: str, cell: str) -> None:
    assert escaped(text) == cell


@given(TEXTS)
def test_an_export_read_again_is_the_same_text_F90(text: str) -> None:
    assert plain(escaped(text)) == text


@given(TEXTS)
def test_no_cell_begins_a_formula_wherever_a_program_splits_it_F90(text: str) -> None:
    assert not FORMULA.search(escaped(text))


def test_the_search_for_formulas_finds_one() -> None:
    """Negative control: text that nobody escaped."""
    assert FORMULA.search("pump;=1")


@given(st.lists(st.lists(TEXTS.filter(lambda text: "\0" not in text), min_size=2, max_size=2), max_size=5))
def test_a_csv_file_read_by_its_rules_gives_the_cells_back_F90(rows: list[list[str]]) -> None:
    written = b"".join(csv_pieces(["one", "two"], [[escaped(cell) for cell in row] for row in rows]))
    assert written.startswith(b"\xef\xbb\xbfone,two\r\n")
    read = list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline="")))
    assert [[plain(cell) for cell in row] for row in read[1:]] == rows
