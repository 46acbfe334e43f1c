"""The demo's data set on PostgreSQL: whole, told as JSON, and never where it does harm."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from amp.foundation.models import Enterprise, User
from amp.foundation.scoping import system_scope
from devices.models import Device
from devices.services.tokens import device_for_token

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def seeded() -> dict[str, Any]:
    out = io.StringIO()
    call_command("seed_demo", json=True, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def test_the_printed_secrets_open_what_they_should_and_the_books_balance() -> None:
    told = seeded()
    star = told["star"]
    device = device_for_token(star["renewal_token"])
    assert device is not None
    assert (device.pk, device.key) == (star["device_id"], star["key"])
    salted = device.credential_hash
    iterations, salt = salted.split("$")[2], salted.split("$")[3]
    assert _hash(star["mqtt_password"], salt, int(iterations)) == salted
    for login in told["logins"]:
        assert User.objects.get(email=login["email"]).check_password(login["password"]), login["email"]
    with system_scope():
        assert Device.objects.count() == len(told["devices"]) >= 200
    call_command("audit", stdout=io.StringIO())  # raises where an invariant is broken
    with pytest.raises(CommandError, match="in use"):
        call_command("seed_demo")


def _hash(password: str, salt: str, iterations: int) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), iterations)
    return f"$7${iterations}${salt}${base64.b64encode(digest).decode()}"


def test_production_gets_no_demo_data(settings: Any) -> None:
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="Production gets no demo data"):
        call_command("seed_demo")
    with system_scope():
        assert not Enterprise.objects.exists()
