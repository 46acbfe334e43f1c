"""Somebody who works with the product: signs in with two steps, reads what the pages say, downloads files."""

from __future__ import annotations

import time
from base64 import b32decode

from django.utils.translation import gettext, ngettext, override
from django_otp.oath import TOTP
from playwright.sync_api import Locator, Page, expect

from tests.journeys.world import World

HALF_MINUTE = 30


class Person:
    """Somebody at a browser, with an authenticator in the pocket."""

    def __init__(self, page: Page, amp: World, language: str, email: str, password: str) -> None:
        self.page, self.amp, self.language = page, amp, language
        self.email, self.password = email, password
        self._secret = b""
        self._last_step = 0

    def go(self, path: str) -> None:
        """Open a page below /admin/."""
        self.page.goto(f"{self.amp.amp.url}/admin/{path}")

    def sees(self, text: str) -> None:
        """The English text stands on the page, in this person's language; the page says which that is."""
        self.sees_counted(text, text)

    def sees_counted(self, one: str, many: str, number: int = 1) -> None:
        """The same for a text that counts."""
        with override(self.language):
            told = gettext(one) if one == many else ngettext(one, many, number) % {"n": number}
        expect(self.page.locator("html")).to_have_attribute("lang", self.language)
        expect(self.page.get_by_text(told).first).to_be_visible()

    def submit(self, form: str = "form.amp-card") -> None:
        """Press the main button of a form."""
        self.page.locator(f"{form} button.amp-primary").click()

    def sign_in(self) -> None:
        """Name and password; what comes next depends on the account."""
        self.go("login/")
        self.page.locator("input[name=username]").fill(self.email)
        self.page.locator("input[name=password]").fill(self.password)
        self.page.locator("input[name=password]").press("Enter")

    def enrol(self) -> list[str]:
        """Type the shown key into the authenticator, and its code into the page; the recovery codes."""
        self.page.wait_for_url("**/sign-in/enrol/**")
        self.sees("Set up two-step sign-in")
        self.page.locator("details summary").click()
        shown = self.page.locator("code.amp-secret").inner_text().replace(" ", "")
        self._secret = b32decode(shown + "=" * (-len(shown) % 8))
        self.type_code()
        codes = self.page.locator(".amp-codes code")
        expect(codes).to_have_count(10)
        kept: list[str] = codes.all_inner_texts()
        self.page.locator("a.amp-primary").click()
        return kept

    def type_code(self) -> None:
        """What the authenticator shows; the next one where this one was used, since each is taken once."""
        totp = TOTP(self._secret)
        totp.time = time.time()  # noqa: TID251 (the authenticator's own clock)
        if totp.t() <= self._last_step:
            totp.time += HALF_MINUTE
        self._last_step = totp.t()
        self.page.locator("input[name=code]").fill(f"{totp.token():06d}")
        self.page.locator("input[name=code]").press("Enter")

    def sign_out(self) -> None:
        """With the keyboard alone; once the page is there, for its script opens the menu."""
        menu, leave = self.page.locator("button[aria-controls=amp-account]"), self.page.locator("#logout-form button")
        menu.wait_for()
        self.page.wait_for_load_state()
        menu.press("Enter")
        expect(leave).to_be_visible()
        leave.press("Enter")
        expect(self.page.locator("#logout-form")).to_have_count(0)

    def download(self, button: Locator) -> bytes:
        """The file that the button brings."""
        with self.page.expect_download() as download:
            button.click()
        return download.value.path().read_bytes()
