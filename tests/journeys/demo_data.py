"""The demo's data set as `seed_demo --json` tells of it: made once for all that look at it, for it takes a while."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from amp.foundation.models import User
from amp.foundation.scoping import system_scope
from devices.models import Device
from devices.services.tokens import device_for_token


def seeded() -> dict[str, Any]:
    """Fill the database; what the command told."""
    out = io.StringIO()
    call_command("seed_demo", json=True, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def check_data_set(told: dict[str, Any]) -> None:
    """The printed secrets open what they should, the books balance, and nobody seeds a second time."""
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
