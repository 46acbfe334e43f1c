"""Staff import devices in the browser: a workbook at once, a longer list by a worker, credentials once (F92, X4)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook
from playwright.sync_api import Page, expect

from amp.foundation.models import Role
from devices.models import Device, Import
from devices.services.tokens import device_for_token
from tests.journeys.test_staff_renewal import sign_in
from tests.journeys.world import World

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
LONG = 60_000
"""Milliseconds that a busy machine may take."""


def workbook(path: Path, count: int) -> Path:
    """So many devices, and one row that is bad."""
    book = Workbook()
    for row in (
        ("key", "name", "serial"),
        *((f"XL-{n}", f"North {n}", 4_000 + n) for n in range(count)),
        ("a b", "", ""),
    ):
        book.active.append(row)
    book.save(path)
    return path


def choose(page: Page, world: World, path: Path) -> None:
    """The preview of a file."""
    page.goto(f"{world.amp.url}/admin/devices/device/import/")
    page.locator("select[name=product]").select_option(str(world.product.pk))
    page.locator("input[name=file]").set_input_files(path)
    page.get_by_role("button", name="Check the file").click()


def test_f92_500_devices_of_a_workbook_are_registered_at_once_and_their_credentials_are_downloaded_once(
    world: Callable[..., World], page: Page, tmp_path: Path
) -> None:
    amp = world()
    sign_in(page, amp, Role.OPERATOR)
    choose(page, amp, workbook(tmp_path / "north.xlsx", 500))
    expect(page.get_by_text("“a b” is no device key.")).to_be_visible(timeout=LONG)
    assert Device.objects.count() == 1
    page.get_by_role("button", name="Register 500 devices").click()
    expect(page.get_by_text("500 devices are registered.")).to_be_visible(timeout=LONG)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download credentials (CSV)").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert [row["key"] for row in rows] == [f"XL-{number}" for number in range(500)]
    device = device_for_token(rows[7]["renewal_link"].rpartition("/")[2])
    assert device is not None
    assert (device.key, device.serial) == ("XL-7", "4007")
    page.reload()
    expect(page.get_by_text("deleted since")).to_be_visible(timeout=LONG)


def test_f92_a_longer_list_is_done_by_a_worker_while_its_page_shows_the_progress(
    world: Callable[..., World], page: Page, tmp_path: Path
) -> None:
    amp = world()
    sign_in(page, amp, Role.OPERATOR)
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["key", *(f"long-{number}" for number in range(2_500))]))
    choose(page, amp, path)
    page.get_by_role("button", name="Register 2,500 devices").click(timeout=LONG)
    expect(page.get_by_text("2,500 devices are registered.")).to_be_visible(timeout=LONG)
    assert Device.objects.filter(key__startswith="long-").count() == 2_500
    assert Import.objects.get().state == "DONE"
    choose(page, amp, path)
    expect(page.get_by_text("This very file was imported before")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("There is nothing to import.")).to_be_visible(timeout=LONG)
