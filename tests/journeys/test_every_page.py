"""Every page that staff and customers can reach: it opens, keeps to the policy, fits a phone, and is accessible.

The pages are found by following links from the overview and from a device's public page, on the demo's data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from amp.foundation.models import User
from tests.crawling import pages
from tests.journeys.demo_data import check_data_set, seeded

SERIOUS = {"serious", "critical"}
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


THOROUGH = "AMP_EVERY_PAGE" in os.environ
"""`make prove` looks at more pages of each kind, and with axe in every look."""

LIMIT = pytest.mark.timeout(3_600 if THOROUGH else 400)
pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), LIMIT]


SHORTEN = """(seen) => {
    for (const row of document.querySelectorAll("tbody > tr:nth-child(n+13), li:nth-child(n+25)")) row.remove();
    if (seen) for (const bar of document.querySelectorAll("#nav-sidebar")) bar.remove();
}"""
"""What axe need not see again: the rows of a table are alike, and the sidebar was looked at on the first page."""


class Look(NamedTuple):
    """How a reader looks at the pages."""

    size: dict[str, int]
    language: str
    scheme: str
    with_axe: bool = True


LOOKS = [Look(DESK, "en", "light"), Look(PHONE, "zh-hans", "dark", with_axe=THOROUGH)]


@pytest.fixture
def told() -> dict[str, Any]:
    return seeded()


@pytest.fixture
def staff(told: dict[str, Any]) -> Client:
    client = Client()
    client.force_login(User.objects.get(email="root@amp.example"))
    return client


@pytest.mark.long
def test_the_demos_data_is_whole_and_every_page_of_it_opens_fits_and_can_be_read_by_everybody(
    told: dict[str, Any], staff: Client, browser: Browser, live_server: LiveServer
) -> None:
    """axe finds nothing serious, no policy is violated, nothing scrolls sideways on a phone (W3C's WCAG 2.1 AA)."""
    check_data_set(told)
    addresses = list(pages(staff, "/admin/", f"/r/{told['star']['renewal_token']}", per_kind=3 if THOROUGH else 1))
    assert len(addresses) > 30
    faults = [fault for look in LOOKS for fault in _faults(browser, live_server.url, staff, addresses, look)]
    assert not faults, "\n".join(faults)


def test_the_check_sees_an_inaccessible_page(page: Page) -> None:
    """The negative control: an image without words, and a page wider than its window."""
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src='data:,'><p style='width:4000px'>wide")
    assert any("image-alt" in fault for fault in _seen_by_axe(page))
    assert _scrolls_sideways(page)


def _faults(browser: Browser, url: str, staff: Client, addresses: list[str], look: Look) -> Iterator[str]:
    context = browser.new_context(viewport=look.size, color_scheme=look.scheme, locale="en-GB")  # type: ignore[arg-type]
    _sign_in(context, url, staff, look)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for address in addresses:
        said.clear()
        page.goto(url + address)
        found = [*said, *(["is wider than its window"] if _scrolls_sideways(page) else [])]
        if look.with_axe:
            if not THOROUGH:
                page.evaluate(SHORTEN, address != addresses[0])
            found += _seen_by_axe(page)
        yield from (f"{address} ({look.language}, {look.size['width']} px): {fault}" for fault in found)
    context.close()


def _sign_in(context: BrowserContext, url: str, staff: Client, look: Look) -> None:
    cookies = {
        settings.SESSION_COOKIE_NAME: staff.cookies[settings.SESSION_COOKIE_NAME].value,
        settings.LANGUAGE_COOKIE_NAME: look.language,
    }
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])
    context.add_init_script(f"localStorage.setItem('_x_adminTheme', JSON.stringify('{look.scheme}'))")


def _seen_by_axe(page: Page) -> list[str]:
    answer = Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        f"{each['id']}: {each['help']} {[node['html'][:160] for node in each['nodes'][:3]]}"
        for each in answer.response["violations"]
        if each["impact"] in SERIOUS
    ]


def _scrolls_sideways(page: Page) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")
    return wide
