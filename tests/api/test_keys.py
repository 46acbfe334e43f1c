"""Who may call: keys are shown once, kept as a hash, end at the next request, open what their scopes say (F83, F84)."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import ApiKey, Enterprise, Event, Membership, Role, Scope
from amp.foundation.scoping import system_scope
from amp.foundation.services.api_keys import LIVE_KEYS, ApiKeyRefused, has_maker_with_rights, hash_of, revoke_api_key
from amp.logs import _line, formatter
from tests.api.calling import Api, Tenant, code, new_key
from tests.factories import make_enterprise, make_member


def test_key_tells_what_it_is_and_may_do(ours: Tenant) -> None:
    told = ours.keyed("products:read", name="shop").get("/me").json()
    assert told["enterprise"] == {"id": ours.enterprise.pk, "name": "ours"}
    assert told["scopes"] == ["products:read"]
    assert told["key"]["name"] == "shop"
    assert told["limits"] == {"requests_per_minute": 600, "page_size": 100, "body_bytes": 1024 * 1024}


def test_only_a_hash_of_the_key_is_stored_F83(ours: Tenant) -> None:
    with system_scope():
        row = ApiKey.objects.filter(pk=ours.key.pk).values().get()
        events = str(list(Event.objects.values()))
    secret = ours.api.key.removeprefix(f"{row['prefix']}_")
    assert row["key_hash"] == hash_of(ours.api.key)
    assert len(secret) == 43
    assert secret not in str(row)
    assert secret not in events


def test_answer_never_shows_the_secret_F83(ours: Tenant) -> None:
    secret = ours.api.key.split("_", 2)[2]
    for path in ("/me", "/products", "/nowhere", "/products?x=1"):
        assert secret not in ours.api.get(path).content.decode()


def test_log_line_keeps_the_prefix_and_loses_the_secret_F83(ours: Tenant) -> None:
    line = formatter(_line)
    try:
        raise ValueError(ours.api.key)
    except ValueError as failure:
        trouble = (ValueError, failure, failure.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "key %s", (ours.api.key,), trouble)
    shown = line.format(record)
    assert ours.key.prefix in shown
    assert ours.api.key not in shown
    assert ours.api.key in logging.Formatter("%(message)s").format(record)  # without the house's line it would be there


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic amp", "Bearer amp_aaaaaaaa_" + "a" * 43, "Bearer \N{SNOWMAN}"]
)
def test_nothing_opens_without_a_key_that_exists(ours: Tenant, header: str) -> None:
    response = Api().get("/me", Authorization=header) if header else Api().get("/me")
    assert code(response)[0] == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_session_of_the_admin_opens_nothing_F95(ours: Tenant) -> None:
    client = Client()
    client.force_login(ours.user)
    assert code(Api(client=client).get("/products")) == (401, "not_authenticated")
    assert Api(ours.api.key, client).get("/products").status_code == 200


def test_session_beside_a_key_adds_nothing_to_its_reach_R6(ours: Tenant, other: Tenant) -> None:
    client = Client()
    client.force_login(other.user)
    names = [row["name"] for row in Api(ours.api.key, client).get("/products").json()["results"]]
    assert names == ["ours product"]


def test_expired_key_is_refused_and_says_so(ours: Tenant) -> None:
    with system_scope():
        ApiKey.objects.filter(pk=ours.key.pk).update(expires_at=clock.wall())
    assert code(ours.api.get("/me")) == (401, "expired_key")


def test_revoked_key_ends_with_the_next_request_and_others_go_on_F84(ours: Tenant) -> None:
    second = ours.keyed("products:read")
    assert ours.api.get("/me").status_code == 200
    with system_scope():
        revoke_api_key(key=ours.key, user=ours.user, now=clock.now(), wall=clock.wall())
    assert code(ours.api.get("/me")) == (401, "revoked_key")
    assert second.get("/me").status_code == 200


def test_key_of_a_deactivated_maker_ends_with_the_next_request_X1(ours: Tenant) -> None:
    assert ours.api.get("/me").status_code == 200
    ours.user.is_active = False
    ours.user.save()
    assert code(ours.api.get("/me")) == (401, "invalid_key")


@pytest.mark.parametrize("change", ["left", "demoted"])
def test_key_ends_with_its_makers_role_F79(ours: Tenant, change: str) -> None:
    roles = Membership.objects.filter(user=ours.user)
    roles.delete() if change == "left" else roles.update(role=Role.OPERATOR.value)
    assert code(ours.api.get("/me")) == (401, "invalid_key")


@pytest.mark.parametrize("at", ["here", "above", "below"])
@pytest.mark.parametrize("role", list(Role))
def test_api_and_pages_agree_on_which_roles_keep_a_key_F79_X2(ours: Tenant, role: Role, at: str) -> None:
    """The request asks in SQL, the page of keys in Python."""
    with system_scope():
        above = Enterprise.objects.get(pk=ours.enterprise.parent_id or ours.enterprise.pk)
        places = {"here": ours.enterprise, "above": above, "below": make_enterprise("below", parent=ours.enterprise)}
        Membership.objects.filter(user=ours.user).update(role=role.value, enterprise=places[at])
        key = ApiKey.objects.get(pk=ours.key.pk)
        assert has_maker_with_rights(key) == (ours.api.get("/me").status_code == 200)


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("enterprises:read", "/enterprises"),
        ("products:read", "/products"),
        ("plans:read", "/plans"),
        ("rules:read", "/products/{product}/rule"),
    ],
)
def test_key_opens_what_its_scope_names_and_nothing_else_X2(ours: Tenant, scope: str, path: str) -> None:
    address = path.format(product=ours.product.pk)
    assert ours.keyed(scope).get(address).status_code == 200
    lacking = ours.keyed(*(other.value for other in Scope if other.value != scope))
    refused = lacking.get(address)
    assert code(refused) == (403, "scope_missing")
    assert scope in refused.json()["detail"]


def test_reading_key_changes_nothing_X2(ours: Tenant) -> None:
    reader = ours.keyed("products:read", "plans:read", "rules:read")
    product = {"enterprise": ours.enterprise.pk, "name": "New"}
    assert code(reader.post("/products", product)) == (403, "scope_missing")
    assert code(reader.patch(f"/products/{ours.product.pk}", {"name": "x"}, If_Match="*")) == (403, "scope_missing")
    assert code(reader.post(f"/plans/{ours.plan.pk}/withdraw")) == (403, "scope_missing")
    assert code(reader.put(f"/products/{ours.product.pk}/rule", {}, If_Match="*")) == (403, "scope_missing")
    assert ours.api.post("/products", product).status_code == 201


def test_last_use_is_kept_to_the_hour_with_one_write(ours: Tenant, django_assert_num_queries: object) -> None:
    ours.api.get("/me")
    with system_scope():
        used = ApiKey.objects.get(pk=ours.key.pk).last_used_at
    assert used is not None
    assert (used.minute, used.second) == (0, 0)
    assert clock.wall() - used < timedelta(hours=1, minutes=1)
    with django_assert_num_queries(3):  # type: ignore[operator]  # the key with its maker's roles, the subtree, the enterprise
        assert ours.api.get("/me").status_code == 200


def test_key_needs_a_name_scopes_that_exist_and_an_end_within_a_year(ours: Tenant) -> None:
    with pytest.raises(ApiKeyRefused) as refused:
        new_key(ours.enterprise, ours.user, ["everything"], name=" ", expires_at=clock.wall() + timedelta(days=400))
    assert {problem.field for problem in refused.value.problems} == {"name", "scopes", "expires_at"}


def test_enterprise_has_at_most_twenty_live_keys(ours: Tenant) -> None:
    for _number in range(LIVE_KEYS - 1):
        new_key(ours.enterprise, ours.user)
    with pytest.raises(ApiKeyRefused):
        new_key(ours.enterprise, ours.user)
    with system_scope():
        revoke_api_key(key=ours.key, user=ours.user, now=clock.now(), wall=clock.wall())
    new_key(ours.enterprise, ours.user)


def test_making_and_revoking_a_key_are_on_the_record_R9(ours: Tenant) -> None:
    with system_scope():
        revoke_api_key(key=ours.key, user=ours.user, now=clock.now(), wall=clock.wall())
        kinds = list(Event.objects.filter(subject=f"api_key:{ours.key.pk}").order_by("id").values_list("kind", "actor"))
    assert kinds == [("api_key.created", ours.user.email), ("api_key.revoked", ours.user.email)]


def test_maker_elsewhere_has_no_say_here_E1(ours: Tenant, other: Tenant) -> None:
    """A role in another enterprise doesn't keep a key alive."""
    with system_scope():
        stranger = make_member(other.enterprise)
    _key, text = new_key(ours.enterprise, stranger)
    assert code(Api(text).get("/me")) == (401, "invalid_key")
