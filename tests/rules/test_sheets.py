"""Uploaded tables: whatever the bytes are, they are rows or a refusal with words (F90, F92)."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from amp.foundation.cells import escaped
from devices.registration_csv import COLUMNS
from devices.sheets import MAX_BYTES, MAX_ROWS, Sheet, SheetRefused, read_sheet
from devices.workbooks import MAX_UNPACKED

PARTS = ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/sharedStrings.xml")


def refused(content: bytes) -> list[tuple[int, str]]:
    """(line, code) of a file that is refused as a whole."""
    with pytest.raises(SheetRefused) as refusal:
        read_sheet(content, COLUMNS)
    return [(problem.line, problem.code) for problem in refusal.value.problems]


def sheet(content: bytes) -> Sheet:
    """The table in a file."""
    return read_sheet(content, COLUMNS)


def workbook(*rows: list[object]) -> bytes:
    """An XLSX file with one sheet."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def altered(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The same archive with changed parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


def with_sheet(replace: bytes, by: bytes) -> bytes:
    """A workbook of one device whose sheet was tampered with."""

    def change(name: str, part: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return part
        assert replace in part
        return part.replace(replace, by)

    return altered(workbook(["key"], ["k1"]), change)


def bomb(size: int) -> bytes:
    """An archive of a few KB that unpacks to `size` bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * size)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_comma_semicolon_and_tab_are_understood(delimiter: str) -> None:
    found = sheet(f"\ufeffSerial-Number{delimiter} KEY \r\nS1{delimiter}k1\r\n\r\n".encode())
    assert [(line.number, line.values) for line in found.lines] == [(2, {"serial": "S1", "key": "k1"})]


def test_a_workbook_and_a_csv_file_say_the_same() -> None:
    rows: list[list[object]] = [
        ["key", "serial", "Colour"],
        ["k1", 4821, "red"],
        [],
        ["k2", 17.0, date(2027, 3, 1)],
    ]
    found = sheet(workbook(*rows))
    assert found.left_out == ["Colour"]
    assert [(line.number, line.values) for line in found.lines] == [
        (2, {"key": "k1", "serial": "4821"}),
        (4, {"key": "k2", "serial": "17"}),
    ]
    assert sheet(b"key,serial,Colour\nk1,4821,red\n,,\nk2,17,x\n").lines == found.lines


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", [(0, "file_empty")]),
        (b"\n , \n", [(0, "file_empty")]),
        (b"key\n\n", [(0, "no_rows")]),
        (b"name\nk1\n", [(1, "column_missing")]),
        (b"key,device_key\nk1,k2\n", [(1, "column_twice")]),
        (b"key\nk1".decode().encode("utf-16"), [(0, "utf16")]),
        (b"k\0y\nk1\n", [(1, "nul_byte")]),
        (b"k\xff\nk1\n", [(1, "not_utf8")]),
        (b"key," * 10_000 + b"\nk1\n", [(1, "line_too_long")]),
        (b",".join(b"%d" % number for number in range(65)) + b"\nk1\n", [(1, "too_many_columns")]),
        (b"\n" * 200_001 + b"key\nk1\n", [(0, "too_many_lines")]),
        (b"key\n" + b"k\n" * (MAX_ROWS + 1), [(0, "too_many_rows")]),
        (b"k" * (MAX_BYTES + 1), [(0, "file_too_large")]),
        (b"k" * MAX_BYTES, [(1, "line_too_long")]),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, [(0, "old_excel")]),
        (b"PK\x03\x04" + b"x" * 600, [(0, "not_a_workbook")]),
        (bomb(MAX_UNPACKED + 1), [(0, "workbook_too_large")]),
        (workbook(["key"] * 70, ["k1"]), [(1, "too_many_columns")]),
    ],
    ids=lambda value: type(value).__name__,  # the contents hold the moment at which a workbook was packed
)  # fmt: skip
def test_f92_hostile_files_are_refused_with_their_reason(content: bytes, problems: list[tuple[int, str]]) -> None:
    assert refused(content) == problems


def test_f92_a_bomb_costs_no_memory() -> None:
    content = bomb(4 * MAX_UNPACKED)
    assert len(content) < 1024 * 1024
    tracemalloc.start()
    try:
        assert refused(content) == [(0, "workbook_too_large")]
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_f92_a_size_that_the_archive_lies_about_is_not_unpacked() -> None:
    content = bomb(MAX_UNPACKED + 1)
    lying = content.replace((MAX_UNPACKED + 1).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert refused(lying) == [(0, "not_a_workbook")]


def test_f92_entities_do_not_grow() -> None:
    doctype = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><worksheet '
    assert refused(with_sheet(b"<worksheet ", doctype)) == [(0, "not_a_workbook")]


def test_f92_a_sheet_that_claims_to_be_huge_is_read_by_what_it_holds() -> None:
    claim = with_sheet(b'<dimension ref="A1:A2"', b'<dimension ref="A1:XFD1048576"')
    assert [line.values for line in sheet(claim).lines] == [{"key": "k1"}]
    assert refused(with_sheet(b'<row r="2"', b'<row r="1048576"')) == [(0, "too_many_lines")]
    assert refused(with_sheet(b'<row r="2"', b'<row r="999999999999"')) == [(0, "too_many_lines")]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"key\nk1\nk\xff\nk3\0\nk4", [(3, "not_utf8"), (4, "nul_byte")]),
        (b"key\n" + b"x" * 1_001 + b"\nk2\n", [(2, "line_too_long")]),
        (b"key,name\nk1,a\nk2,b,c\nk3,,,", [(3, "too_many_values")]),
        (b'key,name\nk1,"open\nk2,b', [(2, "quotes_not_closed")]),
        (workbook(["key", "iccid"], ["k1", 89860012345678901234], ["k2", "8986001"]), [(2, "number_rounded")]),
    ],
    ids=lambda value: type(value).__name__,  # the contents hold the moment at which a workbook was packed
)  # fmt: skip
def test_f92_a_bad_line_is_told_and_the_others_go_on(content: bytes, problems: list[tuple[int, str]]) -> None:
    lines = sheet(content).lines
    assert [(line.problem.line, line.problem.code) for line in lines if line.problem] == problems
    assert any(not line.problem for line in lines)


def test_a_file_of_50_000_rows_is_taken() -> None:
    assert len(sheet("\n".join(["key", *(f"k{number}" for number in range(MAX_ROWS))]).encode()).lines) == MAX_ROWS


@given(st.text(st.characters(codec="utf-8", exclude_characters='\0\r\n"\x0b\x0c\x1c\x1d\x1e\x85'), max_size=40))
def test_f90_what_an_export_escaped_comes_back_as_it_was(text: str) -> None:
    name = text.strip()
    quoted = '"' + escaped(name).replace('"', '""') + '"'
    assert sheet(f"key,name\nk1,{quoted}\n".encode()).lines[0].values.get("name", "") == name


@given(
    st.binary(max_size=300)
    | st.text("key,;\t\"\n\r1 '=\0é", max_size=80).map(lambda text: ("key\n" + text).encode())
    | st.binary(max_size=200).map(lambda more: b"PK\x03\x04" + more)
)
def test_f92_whatever_is_uploaded_is_answered(content: bytes) -> None:
    _is_answered(content)


REAL = workbook(["key", "name"], ["k1", "a"], ["k2", "b"])
"""Made once: its length changes with the moment at which it is packed, and examples must repeat."""


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_f92_a_damaged_workbook_is_answered(data: st.DataObject) -> None:
    """Bytes of a real workbook changed at random places, packed and unpacked."""
    content = bytearray(REAL)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _is_answered(bytes(content))
    name = data.draw(st.sampled_from(PARTS))
    cut, more = data.draw(st.integers(0, 400)), data.draw(st.binary(max_size=20))

    def change(part_name: str, part: bytes) -> bytes:
        return part[:cut] + more + part[cut + len(more) :] if part_name == name else part

    _is_answered(altered(REAL, change))


def _is_answered(content: bytes) -> None:
    """Rows or a refusal; any other exception fails the test."""
    with suppress(SheetRefused):
        found = read_sheet(content, COLUMNS)
        assert found.lines
        assert "key" in found.columns
