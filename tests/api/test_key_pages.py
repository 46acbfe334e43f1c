"""API keys in the admin: shown once, for those who manage them alone (F83, F84, X2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from amp.foundation.models import ApiKey, Membership, Role
from amp.foundation.scoping import system_scope
from tests.api.calling import Api, Tenant, code
from tests.factories import make_enterprise, make_member

LIST = "/admin/foundation/apikey/"
ADD = f"{LIST}add/"


@pytest.fixture(autouse=True)
def no_second_step(settings: Any) -> None:
    """The second factor has tests of its own."""
    settings.REQUIRE_TOTP = False


def browser(user: Any) -> Client:
    """Signed in."""
    client = Client()
    client.force_login(user)
    return client


def wanted(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """The form, filled in."""
    return {"name": "Shop", "enterprise": tenant.enterprise.pk, "days": 90, "scopes": ["products:read"], **changes}


def test_key_is_shown_once_and_works_F83(ours: Tenant) -> None:
    client = browser(ours.user)
    made = client.post(ADD, wanted(ours))
    (text,) = set(re.findall(r"amp_[a-z0-9]{8}_[\w-]{43}", made.content.decode()))
    assert "no-store" in made["Cache-Control"]
    assert Api(text).get("/me").json()["scopes"] == ["products:read"]
    with system_scope():
        key = ApiKey.objects.get(name="Shop")
    for address in (LIST, f"{LIST}{key.pk}/change/"):
        shown = client.get(address).content.decode()
        assert key.prefix in shown
        assert text.removeprefix(f"{key.prefix}_") not in shown
        assert key.key_hash not in shown


def test_key_is_revoked_by_a_button_and_not_by_a_link(ours: Tenant) -> None:
    client = browser(ours.user)
    address = f"{LIST}{ours.key.pk}/revoke/"
    assert client.get(address).status_code == 405
    assert ours.api.get("/me").status_code == 200
    assert client.post(address).status_code == 302
    assert code(ours.api.get("/me")) == (401, "revoked_key")
    assert "Revoked" in client.get(f"{LIST}{ours.key.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "x" * 81), ("scopes", []), ("scopes", ["all"]), ("days", 3650)]
)
def test_form_that_is_wrong_says_so_and_makes_nothing(ours: Tenant, field: str, value: Any) -> None:
    shown = browser(ours.user).post(ADD, wanted(ours, **{field: value}))
    assert "amp-error" in shown.content.decode()
    with system_scope():
        assert not ApiKey.objects.filter(name=value or "Shop").exists()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.FINANCE, Role.READ_ONLY, Role.ACCOUNT_MANAGER])
def test_other_roles_do_not_learn_that_keys_exist_X2(ours: Tenant, role: Role) -> None:
    with system_scope():
        client = browser(make_member(ours.enterprise, role))
    assert LIST not in client.get("/admin/").content.decode()
    for address in (LIST, ADD, f"{LIST}{ours.key.pk}/change/"):
        assert client.get(address).status_code == 403
    assert client.post(ADD, wanted(ours)).status_code == 403
    assert client.post(f"{LIST}{ours.key.pk}/revoke/").status_code == 403
    assert ours.api.get("/me").status_code == 200


def test_keys_of_another_tenant_answer_as_missing_ones_R6(ours: Tenant, other: Tenant) -> None:
    client = browser(ours.user)
    assert other.key.prefix not in client.get(LIST).content.decode()
    for pk in (other.key.pk, 987_654_321):
        assert client.get(f"{LIST}{pk}/change/").status_code == 404
        assert client.post(f"{LIST}{pk}/revoke/").status_code == 404
    assert "amp-error" in client.post(ADD, wanted(ours, enterprise=other.enterprise.pk)).content.decode()
    assert other.api.get("/me").status_code == 200


def test_reader_elsewhere_sees_only_the_keys_that_he_manages_X2(ours: Tenant, other: Tenant) -> None:
    with system_scope():
        Membership.objects.create(user=ours.user, enterprise=other.enterprise, role=Role.READ_ONLY.value)
    shown = browser(ours.user).get(LIST).content.decode()
    assert ours.key.prefix in shown
    assert other.key.prefix not in shown
    assert browser(ours.user).get(f"{LIST}{other.key.pk}/change/").status_code == 403


def test_list_asks_the_same_however_long_it_is(ours: Tenant, django_assert_max_num_queries: Any) -> None:
    with system_scope():
        for _number in range(5):
            make_enterprise(parent=ours.enterprise)
    for _number in range(10):
        ours.keyed("products:read")
    client = browser(ours.user)
    client.get(LIST)
    with django_assert_max_num_queries(25):
        assert client.get(LIST).content.decode().count("amp_") >= 11
