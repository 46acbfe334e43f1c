"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
    "Safari/537.36"
)
"""A page of its own for phones is asked for by this name alone."""
PATIENCE_MS = 60_000
"""How long a page may take for a step on a machine that is busy with something else; 5 s would be Playwright's own."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the whole run."""
    executable = shutil.which("chromium")
    if executable is None:
        raise RuntimeError("chromium is missing: install the package chromium.")
    # Playwright runs an event loop in this thread, and Django would take our queries for calls from async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page 1280 x 800 with cookies of its own; a script that fails on it fails the test."""
    yield from _page(browser, viewport={"width": 1280, "height": 800})


@pytest.fixture
def colleagues_page(browser: Browser) -> Iterator[Page]:
    """The same as `page`, of somebody else: neither sees the other's cookies."""
    yield from _page(browser, viewport={"width": 1280, "height": 800})


@pytest.fixture
def phone_page(browser: Browser) -> Iterator[Page]:
    """The same, as wide as a phone: 390 x 844, with touch."""
    size = {"width": 390, "height": 844}
    yield from _page(browser, viewport=size, device_scale_factor=2, has_touch=True, is_mobile=True, user_agent=PHONE)


def _page(browser: Browser, **options: Any) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", timezone_id="UTC", **options)
    errors: list[str] = []
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"scripts on the page failed: {errors}"
