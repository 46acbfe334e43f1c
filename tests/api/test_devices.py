"""Devices over the API: registered, found, changed; credentials, presence, services and history (G2, P1, X4, A6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.models import Device, DeviceService, Presence
from devices.services.tokens import device_for_token
from tests.api.calling import Api, Tenant, code, new_key, wrong_fields
from tests.factories import make_device, make_enterprise, make_member

pytestmark = pytest.mark.django_db


def registered(tenant: Tenant, key: str = "AS-1", **details: Any) -> dict[str, Any]:
    response = tenant.api.post("/devices", {"product": tenant.product.pk, "key": key, **details})
    assert response.status_code == 201, response.content
    told: dict[str, Any] = response.json()
    return told


def test_a_registered_device_comes_with_its_secrets_once(ours: Tenant) -> None:
    told = registered(ours, serial="S-1")
    assert told["mqtt"]["user_name"] == f"{ours.product.key}/AS-1"
    assert (told["service_state"], told["credential"], told["is_online"]) == ("PENDING", "live", False)
    with system_scope():
        device = device_for_token(told["renewal_link"].rpartition("/")[2])
    assert device is not None
    assert device.pk == told["id"]
    again = ours.api.get(f"/devices/{told['id']}").json()
    assert again["serial"] == "S-1"
    assert not {"mqtt", "renewal_link"} & set(again)


def test_r7_a_registration_that_is_sent_again_makes_one_device_and_tells_the_same_secrets(ours: Tenant) -> None:
    body = {"product": ours.product.pk, "key": "AS-1"}
    first, second = (ours.api.post("/devices", body, once="one") for _ in range(2))
    assert first.json() == second.json()
    with system_scope():
        assert Device.objects.count() == 1


def test_a_taken_key_and_a_wrong_one_are_refused_by_name(ours: Tenant) -> None:
    registered(ours)
    taken = ours.api.post("/devices", {"product": ours.product.pk, "key": "AS-1"})
    assert code(taken) == (422, "device_key_taken")
    wrong = ours.api.post("/devices", {"product": ours.product.pk, "key": "a/b", "iccid": 5, "colour": "red"})
    assert (code(wrong), wrong_fields(wrong)) == ((400, "invalid_request"), {"key", "iccid", "colour"})


def test_r6_a_device_goes_neither_below_another_tenant_nor_into_its_product(ours: Tenant, other: Tenant) -> None:
    for body in ({"product": other.product.pk}, {"product": ours.product.pk, "enterprise": other.enterprise.pk}):
        refused = ours.api.post("/devices", {"key": "AS-1", **body})
        missing = {
            name: 10**9 if value in {other.product.pk, other.enterprise.pk} else value for name, value in body.items()
        }
        assert refused.json()["errors"] == ours.api.post("/devices", {"key": "AS-1", **missing}).json()["errors"]
    with system_scope():
        assert not Device.objects.exists()


def test_a_key_of_a_child_registers_for_the_child_not_for_its_parent(ours: Tenant) -> None:
    """E1: an ancestor's product may be read; its devices are the ancestor's."""
    with system_scope():
        child = make_enterprise("child", parent=ours.enterprise)
        user = make_member(child)
    api = Api(new_key(child, user)[1])
    assert code(api.post("/devices", {"product": ours.product.pk, "key": "AS-1"})) == (403, "not_yours_to_change")
    told = api.post("/devices", {"product": ours.product.pk, "key": "AS-1", "enterprise": child.pk}).json()
    assert told["enterprise"] == child.pk


def test_lists_find_a_device_by_key_serial_iccid_state_and_day(ours: Tenant) -> None:
    first = registered(ours, "AS-1", serial="S-1", iccid="898600")
    registered(ours, "AS-2", serial="S-2")
    for query in ("key=AS-1", "serial=S-1", "iccid=898600", f"product={ours.product.pk}&key=AS-1"):
        assert [row["id"] for row in ours.api.get(f"/devices?{query}").json()["results"]] == [first["id"]], query
    assert len(ours.api.get("/devices?state=PENDING&presence=never").json()["results"]) == 2
    assert ours.api.get("/devices?state=ACTIVE").json()["results"] == []
    today = f"{clock.now():%Y-%m-%d}"
    assert len(ours.api.get(f"/devices?registered_from={today}&ordering=-registered").json()["results"]) == 2
    assert code(ours.api.get("/devices?stat=ACTIVE")) == (400, "invalid_parameters")


def test_f99_a6_a_change_needs_the_version_it_was_made_from_and_leaves_the_service_alone(ours: Tenant) -> None:
    told = registered(ours)
    path = f"/devices/{told['id']}"
    assert code(ours.api.patch(path, {"name": "x"})) == (428, "precondition_required")
    etag = ours.api.get(path)["ETag"]
    with system_scope():
        before = DeviceService.objects.values().get(pk=told["id"])
    changed = ours.api.patch(path, {"name": "North field", "iccid": "898601"}, If_Match=etag)
    assert (changed.status_code, changed.json()["name"], changed.json()["serial"]) == (200, "North field", "")
    assert code(ours.api.patch(path, {"name": "y"}, If_Match=etag)) == (412, "precondition_failed")
    with system_scope():
        assert DeviceService.objects.values().get(pk=told["id"]) == before
        [edited] = Event.objects.filter(kind="device.edited")
    assert (edited.before, edited.after) == ({"name": "", "iccid": ""}, {"name": "North field", "iccid": "898601"})
    assert edited.actor == ours_actor(ours)


def ours_actor(tenant: Tenant) -> str:
    return f"API key {tenant.key.prefix}"


def test_x4_a_password_is_issued_anew_and_revoked(ours: Tenant) -> None:
    told = registered(ours)
    path = f"/devices/{told['id']}"
    issued = ours.api.post(f"{path}/credential/rotate")
    assert issued.status_code == 201
    assert issued.json()["password"] != told["mqtt"]["password"]
    assert ours.api.post(f"{path}/credential/revoke").json()["credential"] == "revoked"
    ours.api.post(f"{path}/credential/rotate")
    assert ours.api.get(path).json()["credential"] == "live"


def test_a_terminated_device_frees_its_key_and_gets_no_secrets(ours: Tenant) -> None:
    """F70: termination is final for the row, not for the key."""
    told = registered(ours)
    path = f"/devices/{told['id']}"
    assert ours.api.post(f"{path}/terminate").json()["service_state"] == "TERMINATED"
    refusals = {"credential/rotate": "device_terminated", "credential/revoke": "device_terminated"}
    for action, refusal in {**refusals, "renewal-links": "device_gone"}.items():
        assert code(ours.api.post(f"{path}/{action}")) == (422, refusal), action
    assert registered(ours)["id"] != told["id"]


def test_p1_presence_tells_the_time_online_so_far(ours: Tenant) -> None:
    told = registered(ours)
    now = clock.now()
    with system_scope():
        Presence.objects.filter(pk=told["id"]).update(
            is_online=True, open_since=now - timedelta(hours=3), last_seen_at=now, counted=2 * 3_600 * 1_000_000
        )
    presence = ours.api.get(f"/devices/{told['id']}/presence").json()
    assert presence["is_online"]
    assert 5 * 3_600 <= presence["online_seconds"] < 5 * 3_600 + 60


def test_a_service_tells_its_state_and_its_history(ours: Tenant) -> None:
    told = registered(ours)
    service = ours.api.get(f"/device-services/{told['id']}").json()
    assert (service["key"], service["state"], service["desired_lock"]) == ("AS-1", "PENDING", "UNKNOWN")
    history = ours.api.get(f"/device-services/{told['id']}/history").json()
    assert history["periods"] == []
    assert [event["kind"] for event in history["events"]] == ["device.registered"]
    assert history["events"][0]["actor"] == ours_actor(ours)


@pytest.mark.parametrize(
    "path",
    ["", "/presence", "/terminate", "/credential/rotate", "/credential/revoke", "/renewal-links"],
)
def test_r6_another_tenants_device_answers_as_a_missing_one(ours: Tenant, other: Tenant, path: str) -> None:
    with system_scope():
        theirs = make_device(other.product).device.pk
    send = ours.api.get if path in {"", "/presence"} else ours.api.post
    assert code(send(f"/devices/{theirs}{path}")) == code(send(f"/devices/{10**9}{path}")) == (404, "not_found")
    assert ours.api.get("/devices").json()["results"] == []


def test_lists_cost_the_same_for_one_row_and_for_many(ours: Tenant, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        registered(ours, f"AS-{number}")
    for path in ("/devices", "/device-services", "/commands", "/orders"):
        with django_assert_max_num_queries(12) as seen:
            ours.api.get(f"{path}?page_size=1")
        with django_assert_max_num_queries(len(seen)):
            ours.api.get(path)
