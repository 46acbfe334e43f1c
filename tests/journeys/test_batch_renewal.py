"""Staff renew a batch in the browser: chosen by file or in the list, previewed, paid, followed, downloaded (Q1–Q6)."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from amp.foundation import clock
from amp.foundation.models import Role
from billing.models import Order, OrderLine, OrderStatus
from devices.models import DeviceService, Period
from tests.journeys.fleets import expired_devices
from tests.journeys.test_staff_renewal import sign_in
from tests.journeys.world import World

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
DEVICES = 10_000 if "AMP_EVERY_PAGE" in os.environ else 60
"""`make prove` renews as many as an order may have."""
BAD = 10
GOOD = DEVICES - BAD


def test_q1_q6_a_batch_is_renewed_without_its_bad_devices_and_its_result_is_downloaded(
    world: Callable[..., World], page: Page, phone_page: Page, tmp_path: Path
) -> None:
    amp = world()
    # Beside the world's own device, whose trial isn't over, and which is left out too.
    ids = expired_devices(amp.product, DEVICES - 1, now=clock.wall())
    DeviceService.objects.filter(pk__in=ids[: BAD - 1]).update(state="PENDING")
    sign_in(page, amp, Role.OPERATOR)
    a_file_is_checked(page, amp, tmp_path)
    all_that_match_are_chosen(page, amp)
    expect(page.get_by_role("heading", name=f"Renew {DEVICES:,} devices")).to_be_visible()
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_text(f"{BAD} devices can't be renewed with this plan:")).to_be_visible()
    expect(page.locator("#devices tbody tr")).to_have_count(min(50, GOOD))
    page.get_by_role("button", name=f"Continue without them: order {GOOD}").click()
    expect(page.locator(".amp-qr svg")).to_be_visible()
    assert Order.objects.get().line_count == GOOD
    assert not Period.objects.exists()
    code = page.get_by_role("link", name="Open the TEST payment page").get_attribute("href")
    assert code
    phone_page.goto(code)
    phone_page.locator("button.pay").click()
    expect(page.get_by_text("Paid and renewed")).to_be_visible(timeout=120_000)
    expect(page.get_by_text(f"{GOOD:,} of {GOOD:,}")).to_be_visible()
    assert Period.objects.count() == GOOD
    assert Order.objects.get().status == OrderStatus.FULFILLED.value
    the_result_is_downloaded(page, tmp_path)
    amp.audit()


def a_file_is_checked(page: Page, amp: World, tmp_path: Path) -> None:
    """Keys by a file: what names no device is told with its line; nothing is ordered."""
    path = tmp_path / "keys.csv"
    path.write_text("key\nB-00020\nB-00021\nB-99999x\nB-00020\n")
    page.goto(f"{amp.amp.url}/admin/devices/deviceservice/")
    page.get_by_role("link", name="Renew from a file").click()
    page.locator("input[name=file]").set_input_files(path)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name="Renew 2 devices")).to_be_visible()
    expect(page.get_by_text("“B-99999x” is no device of yours.")).to_be_visible()
    expect(page.get_by_text("1 was named again and counts once")).to_be_visible()


def all_that_match_are_chosen(page: Page, amp: World) -> None:
    """Tick a page, then all rows behind it."""
    page.goto(f"{amp.amp.url}/admin/devices/deviceservice/?product={amp.product.pk}")
    page.locator("#action-toggle").check()
    page.get_by_text(f"Select all {DEVICES}").click()
    page.locator("select[name=action]").select_option("renew_selected")
    page.get_by_role("button", name="Run", exact=True).click()


def the_result_is_downloaded(page: Page, tmp_path: Path) -> None:
    """Each device with the end that it got, as CSV and as XLSX."""
    with page.expect_download() as download:
        page.locator("#devices").get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert len(rows) == GOOD
    assert {row["status"] for row in rows} == {"Applied"}
    assert {row["device key"] for row in rows} == set(OrderLine.objects.values_list("device__key", flat=True))
    assert all(row["new end"] for row in rows)
    with page.expect_download() as download:
        page.locator("#devices").get_by_role("button", name="XLSX").click()
    download.value.save_as(tmp_path / "result.xlsx")
    assert load_workbook(tmp_path / "result.xlsx").active.max_row == GOOD + 1
