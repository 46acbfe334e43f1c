"""Rows of devices and of validities: every problem is told with its line and column (F68, F92, N3)."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.registration_csv import DeviceRow, ReadRow, device_row, read_devices
from devices.sheets import SheetRefused
from devices.validity_csv import day_ends_at, last_day, read_validities

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ZONE = "Asia/Shanghai"


def problems(rows: list[ReadRow]) -> list[tuple[int, str, str]]:
    """(line, column, code)."""
    return [(problem.line, problem.column, problem.code) for row in rows for problem in row.problems]


def devices(content: bytes, product: str = "p1") -> list[ReadRow]:
    """Rows of a device list."""
    return read_devices(content, product)[1]


def validities(content: bytes) -> list[ReadRow]:
    """Rows of a validity list."""
    return read_validities(content, ZONE, NOW, "p1")[1]


def test_columns_come_in_any_order_and_rows_keep_theirs() -> None:
    rows = devices('\ufeffSerial, KEY ,name\r\nS1,k1,Lamp\r\n\r\n,k2,"a, b"\r\n'.encode())
    assert [device_row(row.values) for row in rows] == [DeviceRow("k1", "S1", "Lamp"), DeviceRow("k2", "", "a, b")]
    assert problems(rows) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"key\na/b\n+\nok\n#\n", [(2, "key", "bad_key"), (3, "key", "bad_key"), (5, "key", "bad_key")]),
        (b"name,key\nonly a name\n", [(2, "key", "bad_key")]),
        (b"key\nk1\nk2\nk1\n", [(4, "key", "twice")]),
        (b"key,product\nk1,p1\nk1,p2\nk1,\n", [(4, "key", "twice")]),
        (b"key,serial\nk1," + b"s" * 65 + b"\n", [(2, "serial", "too_long")]),
        (b"key,iccid\nk1,89-86\n", [(2, "iccid", "bad_iccid")]),
        (b"key,iccid\na/b,89-86\n", [(2, "key", "bad_key"), (2, "iccid", "bad_iccid")]),
    ],
)
def test_each_problem_of_a_device_names_its_line_and_column(content: bytes, found: list[tuple[int, str, str]]) -> None:
    assert problems(devices(content)) == found


def test_a_row_without_any_product_is_told_so() -> None:
    assert problems(devices(b"key,product\nk1,p9\nk2,\n", product="")) == [(3, "product", "product_missing")]


def test_n3_a_date_is_valid_through_its_last_moment_in_the_enterprises_zone() -> None:
    [first, second, third] = validities(
        b"key,service,until,from\nk1,sim,2027-03-31,2026-01-01\nk1,RTK,2027/3/31,\nk2,1,2027-03-31T12:00+02:00,\n"
    )
    assert first.values["until"] == "2027-03-31T16:00:00+00:00"
    assert first.values["from"] == "2025-12-31T16:00:00+00:00"
    assert (second.values["service"], second.values["until"]) == ("RTK", first.values["until"])
    assert (third.values["service"], third.values["until"]) == ("SIM", "2027-03-31T10:00:00+00:00")
    assert last_day(datetime.fromisoformat(first.values["until"]), ZoneInfo(ZONE)).isoformat() == "2027-03-31"


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("k1,GPS,2027-03-31,", [("service", "bad_service")]),
        ("k1,SIM,,", [("until", "bad_date")]),
        ("k1,SIM,31/03/2027,", [("until", "bad_date")]),
        ("k1,SIM,2027-02-30,", [("until", "bad_date")]),
        ("k1,SIM,20270331,", [("until", "bad_date")]),
        ("k1,SIM,9999-12-31,", [("until", "bad_date")]),
        ("k1,SIM,2207-03-31,", [("until", "date_out_of_range")]),
        ("k1,SIM,1027-03-31,", [("until", "date_out_of_range")]),
        ("k1,SIM,2027-03-31,soon", [("from", "bad_date")]),
        ("k1,SIM,2027-03-31,2027-04-01", [("until", "ends_before_start")]),
    ],
)
def test_n3_each_problem_of_a_validity_names_its_column(row: str, found: list[tuple[str, str]]) -> None:
    rows = validities(f"key,service,until,from\n{row}\n".encode())
    assert [(column, code) for _line, column, code in problems(rows)] == found


def test_n3_one_service_of_a_device_comes_once_in_a_file() -> None:
    content = b"key,service,until\nk1,SIM,2027-03-31\nk1,RTK,2027-03-31\nk1,sim,2027-04-30\n"
    assert problems(validities(content)) == [(4, "key", "twice")]


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.sampled_from([ZONE, "UTC", "America/Sao_Paulo"]))
def test_n3_the_last_day_is_the_day_that_was_typed(day: date, zone: str) -> None:
    assert last_day(day_ends_at(day, ZoneInfo(zone)), ZoneInfo(zone)) == day


@given(st.text("key,;\t\"\n1-/:T+'SIMRTK", max_size=120))
def test_f92_whatever_is_uploaded_is_rows_or_a_refusal(text: str) -> None:
    for head in ("key\n", "key,service,until,from\n"):
        for read in (devices, validities):
            with suppress(SheetRefused):
                good = [row.values for row in read((head + text).encode()) if not row.problems]
                about = {(row["product"], row["key"], row.get("service")) for row in good}
                assert len(about) == len(good)
