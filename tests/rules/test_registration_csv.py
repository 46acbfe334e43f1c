"""Device lists: every problem is told with its line, and nothing is taken from a broken file (F68, F92)."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.registration_csv import MAX_BYTES, MAX_PROBLEMS, MAX_ROWS, DeviceRow, parse


def _problems(content: bytes) -> list[tuple[int, str]]:
    parsed = parse(content)
    assert not (parsed.rows and parsed.problems)
    return [(problem.line, problem.code) for problem in parsed.problems]


def test_columns_come_in_any_order_and_rows_keep_theirs() -> None:
    parsed = parse('\ufeffSerial, KEY ,name\r\nS1,k1,Lamp\r\n\r\n,k2,"a, b"\r\n'.encode())
    assert parsed.rows == [DeviceRow("k1", "S1", "Lamp"), DeviceRow("k2", "", "a, b")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_comma_semicolon_and_tab_are_understood(delimiter: str) -> None:
    content = f"key{delimiter}iccid\nk1{delimiter}8986012345678901234F\n".encode()
    assert parse(content).rows == [DeviceRow("k1", iccid="8986012345678901234F")]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", [(0, "file_empty")]),
        (b"\n\n \n", [(0, "file_empty")]),
        (b"key\n", [(0, "no_devices")]),
        (b"name\nk1\n", [(1, "header_without_key")]),
        (b"key,colour\nk1,red\n", [(1, "unknown_column")]),
        (b"key,key\nk1,k2\n", [(1, "column_twice")]),
        (b"key\nk1\nk\xff\nk3\0\n", [(3, "not_utf8"), (4, "nul_byte")]),
        (b"key\n" + b"x" * 1_001 + b"\nk2\n", [(2, "line_too_long")]),
        (b"key,name\nk1,a\nk2,b,c\n", [(3, "too_many_columns")]),
        (b"key\n" + b"k," * 400 + b"k\n", [(2, "too_many_columns")]),
        (b"key\nk1\nk2\nk1\n", [(4, "key_twice")]),
        (b"key,name\nk1,\"open\n", [(2, "quotes_not_closed")]),
        (b"key\na/b\n+\nok\n#\n", [(2, "bad_key"), (3, "bad_key"), (5, "bad_key")]),
        (b"name,key\nonly a name\n", [(2, "bad_key")]),
        (b"key,serial\nk1," + b"s" * 65 + b"\n", [(2, "too_long")]),
        (b"key,iccid\nk1,89-86\n", [(2, "bad_iccid")]),
    ],
)  # fmt: skip
def test_each_problem_names_its_line(content: bytes, problems: list[tuple[int, str]]) -> None:
    assert _problems(content) == problems


def test_trailing_empty_columns_as_spreadsheets_write_them_are_fine() -> None:
    assert parse(b"key,name\nk1,a,,\n,,,\n").rows == [DeviceRow("k1", name="a")]


def test_a_file_of_200_000_rows_is_refused_and_one_of_50_000_is_taken() -> None:
    rows = [f"k{number}" for number in range(200_000)]
    assert _problems("\n".join(["key", *rows]).encode()) == [(0, "too_many_rows")]
    assert len(parse("\n".join(["key", *rows[:MAX_ROWS]]).encode()).rows) == MAX_ROWS
    assert _problems("\n".join(["key", *rows[: MAX_ROWS + 1]]).encode()) == [(0, "too_many_rows")]


def test_a_huge_file_is_refused_after_10_mb_of_it() -> None:
    class Endless(io.RawIOBase):
        read_bytes = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0, "would read for ever"
            self.read_bytes += size
            return b"k" * size

    source = Endless()
    assert [problem.code for problem in parse(source).problems] == ["file_too_large"]
    assert source.read_bytes <= MAX_BYTES + 1


def test_at_most_100_problems_are_told() -> None:
    assert len(_problems(b"key\n" + b"a b\n" * 5_000)) == MAX_PROBLEMS
    assert len(_problems(b"key\n" + b"\xff\n" * 5_000)) == MAX_PROBLEMS


@given(st.binary(max_size=300) | st.text('key,;\t"\n\r1 ', max_size=80).map(lambda text: ("key\n" + text).encode()))
def test_whatever_is_uploaded_is_answered(content: bytes) -> None:
    """No exception, and either rows with good, distinct keys or problems."""
    parsed = parse(content)
    assert bool(parsed.rows) != bool(parsed.problems)
    keys = [row.key for row in parsed.rows]
    assert len(set(keys)) == len(keys)
