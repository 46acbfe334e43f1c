"""What the tests of signing in share: an authenticator, a browser, and mail as its reader sees it."""

from __future__ import annotations

import re
import time
from typing import Any

from django.core import mail
from django.test import Client
from django_otp.oath import TOTP

from amp.foundation.models import Authenticator, User
from tests.factories import NOW, PASSWORD

LOGIN = "/admin/login/"
CODE = "/admin/sign-in/code/"
ENROL = "/admin/sign-in/enrol/"


def code_of(user: User, *, steps: int = 0) -> str:
    """What the user's authenticator shows; `steps` half minutes later, since each code is taken once."""
    device = Authenticator.objects.filter(user=user).latest("id")
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, 0)
    totp.time = time.time() + 30 * steps  # noqa: TID251 (the authenticator's own clock)
    return f"{totp.token():06d}"


def sign_in(user: User, password: str = PASSWORD, *, browser: Client | None = None, **extra: Any) -> Client:
    """The first step, through the page."""
    browser = browser or Client()
    browser.post(f"{LOGIN}?next=/admin/", {"username": user.email, "password": password}, **extra)
    return browser


def enrolled(user: User) -> Client:
    """A browser in which the user has signed in and set up an authenticator."""
    browser = sign_in(user)
    browser.get(ENROL)
    answer = browser.post(ENROL, {"code": code_of(user)})
    assert answer.status_code == 200, answer
    user.refresh_from_db()
    return browser


def link_in(message: Any) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://[^/\s]+(/\S+)", message.body)
    assert found
    return found[1]


def last_mail() -> Any:
    """The mail that was sent last."""
    return mail.outbox[-1]


__all__ = ["CODE", "ENROL", "LOGIN", "NOW", "code_of", "enrolled", "last_mail", "link_in", "sign_in"]
