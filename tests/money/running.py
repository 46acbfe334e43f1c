"""A customer of the running product who calls its API over HTTP, and calls again where nobody answers."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import requests

from amp.foundation import clock
from amp.foundation.models import IdempotencyRecord, User
from amp.foundation.services.api_keys import create_api_key
from catalog.models import Product
from tests import factories
from tests.api.calling import EVERYTHING
from tests.gateways.process import Sent
from tests.stack.processes import Product as Amp
from tests.stack.waiting import eventually

SECONDS = 15


@dataclass
class Customer:
    """Somebody with an API key of the seller."""

    amp: Amp
    key: str

    @classmethod
    def of(cls, amp: Amp, product: Product, user: User) -> Customer:
        """With a new key for everything."""
        _row, text = create_api_key(
            enterprise=product.enterprise,
            name="integration",
            scopes=EVERYTHING,
            user=user,
            expires_at=clock.wall().replace(year=clock.wall().year + 1),
            now=clock.now(),
            wall=clock.wall(),
        )
        return cls(amp, text)

    def get(self, path: str) -> Any:
        """What stands there now."""
        return requests.get(f"{self.amp.url}/api/v1{path}", headers=self._headers(), timeout=SECONDS).json()

    def post(self, path: str, body: Any = None) -> Any:
        """Done once: the same key is sent until somebody answers (R7)."""
        headers = {**self._headers(), "Idempotency-Key": str(uuid.uuid4())}

        def answer() -> Any:
            try:
                told = requests.post(f"{self.amp.url}/api/v1{path}", json=body or {}, headers=headers, timeout=SECONDS)
            except requests.RequestException:
                return None
            if told.status_code == 409:  # whoever worked on it is dead: a minute later its lease is over
                IdempotencyRecord.objects.update(lease_until=clock.wall())
                return None
            return told if told.status_code < 500 else None

        told = eventually(answer, every=0.2, what=f"an answer of {path}")
        assert told.ok, told.text
        return told.json()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def pay_at_sandbox(code: str, trouble: str = "") -> None:
    """As a browser does: look at the page, press a button."""
    with requests.Session() as browser:
        page = browser.get(code, timeout=SECONDS)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text
        form = {"csrfmiddlewaretoken": token[1], "trouble": trouble}
        browser.post(code, data=form, timeout=SECONDS, allow_redirects=False).raise_for_status()


def send_until_answered(sent: Sent) -> None:
    """A gateway's notice, repeated as gateways do."""

    def is_taken() -> bool:
        try:
            answer = requests.post(sent.url, data=sent.body, headers=sent.headers, timeout=SECONDS)
        except requests.RequestException:
            return False
        return answer.ok

    eventually(is_taken, every=0.2, what="an answer to the notice")


def sign_in(amp: Amp, product: Product) -> requests.Session:
    """A browser in which a member of the seller has signed in to the admin."""
    member = factories.make_member(product.enterprise)
    browser = requests.Session()
    page = browser.get(f"{amp.url}/admin/login/", timeout=SECONDS)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, page.text
    form = {"csrfmiddlewaretoken": token[1], "username": member.email, "password": factories.PASSWORD}
    browser.post(f"{amp.url}/admin/login/", data={**form, "next": "/admin/"}, timeout=SECONDS).raise_for_status()
    assert is_signed_in(browser, amp)
    return browser


def is_signed_in(browser: requests.Session, amp: Amp) -> bool:
    """Whether the admin still knows who that is."""
    return browser.get(f"{amp.url}/admin/", timeout=SECONDS, allow_redirects=False).status_code == 200
