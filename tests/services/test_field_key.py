"""The field key changes while the product runs (X8): earlier keys open, what is sealed from then on needs the new."""

from __future__ import annotations

import ast
import io
import secrets
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from amp.foundation import clock
from amp.foundation.models import User
from amp.foundation.models.authenticators import Authenticator
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import SealBroken, seal, unseal
from amp.foundation.services import resealing
from amp.sealed_columns import SEALED_COLUMNS
from billing.services.accounts import account_that_sells
from tests.factories import make_enterprise, make_member
from tests.services.shop import open_shop

pytestmark = pytest.mark.django_db
NEW = bytes(range(32))


def told(*arguments: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("rotate_field_key", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def people() -> list[Authenticator]:
    """Seven authenticators, sealed with the key of before."""
    with system_scope():
        enterprise = make_enterprise()
        users: list[User] = [make_member(enterprise, email=f"m{n}@example.com") for n in range(7)]
    return [Authenticator.begin(user) for user in users]


@pytest.fixture
def changed(settings) -> None:
    """A new key is in force, the one of before still opens."""
    settings.FIELD_KEYS_BEFORE, settings.FIELD_KEY = [settings.FIELD_KEY], NEW


def test_what_an_earlier_key_sealed_opens_and_what_is_new_needs_the_new_key_X8(settings, request) -> None:
    old = seal(b"secret", "me")
    request.getfixturevalue("changed")
    new = seal(b"fresh", "me")
    assert (unseal(old, "me"), unseal(new, "me")) == (b"secret", b"fresh")
    with pytest.raises(SealBroken):
        unseal(old, "you")
    settings.FIELD_KEYS_BEFORE = []
    assert unseal(new, "me") == b"fresh"
    with pytest.raises(SealBroken):
        unseal(old, "me")


def test_after_the_command_no_earlier_key_is_needed_X8(people, settings, request, monkeypatch) -> None:
    monkeypatch.setattr(resealing, "SLICE", 3)
    before = [each.bin_key for each in people]
    with system_scope():
        shop = open_shop()
        account = account_that_sells(shop.merchant, now=clock.now())
    secret = unseal(account.sealed_secret, str(account.public_id))
    request.getfixturevalue("changed")
    with pytest.raises(CommandError, match="8 secrets need an earlier key"):
        told("--check")
    assert "Authenticator.key: 7 secrets, 7 sealed anew, 0 broken" in told()
    assert "Authenticator.key: 7 secrets, 0 sealed anew, 0 broken" in told()  # again: nothing is left to do
    settings.FIELD_KEYS_BEFORE = []
    assert "no earlier key is needed" in told("--check")
    assert [Authenticator.objects.get(pk=each.pk).bin_key for each in people] == before
    account.refresh_from_db()
    assert unseal(account.sealed_secret, str(account.public_id)) == secret


def test_a_secret_that_no_key_opens_is_told_and_stops_no_other_X8(people, request, caplog) -> None:
    request.getfixturevalue("changed")
    Authenticator.objects.filter(pk=people[2].pk).update(key=seal(secrets.token_bytes(20), "somebody else"))
    with pytest.raises(CommandError, match="1 secrets open with no key"):
        told()
    assert f"row {people[2].pk}" in caplog.text
    with pytest.raises(CommandError, match="1 secrets open with no key"):
        told("--check")


def test_every_place_that_seals_is_among_the_columns_X8() -> None:
    """A new secret that the command doesn't know of would be lost with the earlier key."""
    root = Path(__file__).parents[2]
    sealing = set()
    apps = ("amp", "catalog", "devices", "billing", "alerts")
    for path in (path for app in apps for path in root.glob(f"{app}/**/*.py")):
        if "migrations" in path.parts or path.name in {"sealed.py"}:
            continue
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Name) and call.func.id == "seal" for call in calls):
            sealing.add(path.relative_to(root).as_posix())
    assert sealing == {
        "alerts/services/webhook_endpoints.py",
        "amp/foundation/models/authenticators.py",
        "amp/foundation/services/idempotency.py",
        "amp/personal/erasing.py",
        "billing/services/account_changes.py",
        "billing/services/accounts.py",
        "billing/services/attempts.py",
        "billing/services/links.py",
        "devices/services/import_work.py",
    }, "add the column to amp/sealed_columns.py, then the file here"
    assert len(SEALED_COLUMNS) == 11
