"""Exports of lists: what is filtered, in files that spreadsheets read and that can do no harm (F90, R6, R9)."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from amp.foundation import clock
from amp.foundation.lists import columns, exporting
from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from billing.models import Order
from devices.models import Device, DeviceService
from tests.factories import make_device
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]
EXPORTS = (
    "devices/device",
    "devices/deviceservice",
    "billing/order",
    "billing/paymentattempt",
    "billing/paymentexception",
)


def export(client: Client, path: str, query: str = "", file_format: str = "csv") -> Any:
    return client.post(f"/admin/{path}/export/?{query}", {"format": file_format})


def table(answer: Any) -> list[list[str]]:
    """Rows of a CSV answer, its header first."""
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def sheet(answer: Any) -> list[tuple[Any, ...]]:
    """Rows of an XLSX answer, its header first."""
    return list(load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active.values)


@pytest.mark.parametrize("path", EXPORTS)
def test_no_export_holds_a_row_of_another_tenant_R6(makers: tuple[Maker, Maker], path: str) -> None:
    ours, _other = makers
    for file_format, read in (("csv", table), ("xlsx", sheet)):
        answer = export(ours.client(), path, file_format=file_format)
        assert answer.status_code == 200
        rows = read(answer)
        assert len(rows) >= (1 if "exception" in path else 2)
        assert not any(str(cell).startswith("other") for row in rows for cell in row)


def test_exports_say_who_it_was_in_the_readers_words(makers: tuple[Maker, Maker]) -> None:
    """Names such as "gateway" are how actors are stored, not what a reader is told."""
    ours, _other = makers
    with system_scope():
        Order.objects.update(created_by="gateway")
    rows = table(export(ours.client(), "billing/order"))
    at = rows[0].index("by")
    assert {row[at] for row in rows[1:]} == {"the gateway"}


def test_an_export_holds_what_the_list_filters(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    rows = table(export(ours.client(), "devices/device", "state=EXPIRED&page=last&per=25"))
    assert [row[0] for row in rows] == ["device key", "ours-0"]
    rows = table(export(ours.client(), "devices/device", "q=ours-1"))
    assert [row[0] for row in rows[1:]] == ["ours-1"]


def test_a_wrong_filter_exports_nothing(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    answer = export(ours.client(), "devices/device", "state=NONSENSE")
    assert answer.status_code == 302
    with system_scope():
        assert not Event.objects.filter(kind__startswith="list.").exists()


def test_formulas_are_disarmed_in_both_files_F90(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    with system_scope():
        Device.objects.filter(pk=ours.devices[0].pk).update(name="=HYPERLINK(1)", serial="a;=1")
    for file_format, read in (("csv", table), ("xlsx", sheet)):
        row = next(row for row in read(export(ours.client(), "devices/device", "q=ours-0", file_format))[1:])
        assert row[1:3] == type(row)(["'=HYPERLINK(1)", "a;'=1"])


def test_moments_are_in_the_zone_of_the_enterprise_with_its_offset(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    now = clock.now().replace(microsecond=0)
    with system_scope():
        DeviceService.objects.filter(device=ours.devices[1]).update(ends_at=now)
    header, row = table(export(ours.client(), "devices/device", "q=ours-1"))
    end = row[header.index("ends")]
    assert end.endswith("+08:00")
    assert datetime.fromisoformat(end) == now


def test_money_and_numbers_stay_numbers(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    header, row = sheet(export(ours.client(), "billing/order", file_format="xlsx"))
    assert row[header.index("total")] == 199
    assert row[header.index("devices")] == 1
    header, row = table(export(ours.client(), "billing/order"))  # type: ignore[assignment]
    assert row[header.index("total")] == "199.00"


def test_headers_and_words_are_in_the_readers_language(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    client = ours.client()
    client.cookies["django_language"] = "zh-hans"
    rows = table(export(client, "devices/device", "q=ours-0"))
    assert rows[0] != table(export(ours.client(), "devices/device", "q=ours-0"))[0]


def test_who_exported_what_is_in_the_audit_R9(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    table(export(ours.client(), "devices/device", "state=PENDING"))
    with system_scope():
        started, ended = Event.objects.filter(kind__startswith="list.").order_by("id")
        person = ours.person(Role.ENTERPRISE_ADMINISTRATOR)
    assert (started.kind, ended.kind) == ("list.export_started", "list.exported")
    assert ended.actor == started.actor == person.email
    assert ended.enterprise_id == ours.enterprise.pk
    assert ended.after == {"format": "csv", "filter": "state=PENDING", "rows": 2}


def test_a_reader_who_goes_away_is_recorded_with_what_left(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _other = makers
    monkeypatch.setattr("amp.foundation.lists.sheets.PIECE", 10)
    answer = export(ours.client(), "devices/device")
    pieces = iter(answer.streaming_content)
    next(pieces)
    answer._iterator.close()  # what the server does when the connection is gone; keeps the test's connection
    with system_scope():
        assert Event.objects.get(kind="list.exported").after["rows"] == 1


def test_an_export_reads_in_chunks_and_never_by_offset(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays flat: each chunk is a query that begins after the last key of the one before."""
    ours, _other = makers
    with system_scope():
        for number in range(10):
            make_device(ours.product, key=f"more-{number}", now=clock.now())
    monkeypatch.setattr(columns, "CHUNK", 4)
    with CaptureQueriesContext(connection) as queries:
        rows = table(export(ours.client(), "devices/device"))
    assert len({row[0] for row in rows[1:]}) == len(rows) - 1 == 13
    reads = [query["sql"] for query in queries if "LIMIT 4" in query["sql"]]
    assert len(reads) == 4
    assert not any("OFFSET" in sql for sql in reads)


def test_too_many_rows_for_a_sheet_are_refused_with_what_to_do(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _other = makers
    monkeypatch.setattr(exporting, "XLSX_ROWS", 2)
    answer = ours.client().post("/admin/devices/device/export/?per=25", {"format": "xlsx"}, follow=True)
    assert "An XLSX file holds at most 2 rows. Filter, or export as CSV." in answer.content.decode()
    assert len(table(export(ours.client(), "devices/device"))) == 4


@pytest.mark.parametrize("path", EXPORTS)
def test_exports_are_made_by_post_and_by_members_alone(makers: tuple[Maker, Maker], path: str) -> None:
    ours, _other = makers
    assert ours.client().get(f"/admin/{path}/export/").status_code == 405
    assert export(Client(), path).status_code == 302
    assert export(ours.client(Role.READ_ONLY), path).status_code == 200
