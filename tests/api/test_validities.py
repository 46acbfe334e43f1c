"""SIM and RTK services over the API: listed, set, replaced, cleared, with their history (N3, N5, F99, R6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.models import Device, ServiceKind, Validity
from devices.services.registration import terminate_device
from devices.services.validities import ValiditySetting, set_validities
from tests.api.calling import Tenant, code, make_tenant, wrong_fields
from tests.factories import make_device

pytestmark = pytest.mark.django_db

END = "2027-12-31T16:00:00Z"
LATER = "2028-12-31T16:00:00Z"


@pytest.fixture
def device(ours: Tenant) -> Device:
    with system_scope():
        return make_device(ours.product, key="AS-1").device


def path_of(device: Device, kind: str = "SIM") -> str:
    return f"/devices/{device.pk}/validities/{kind}"


def put(tenant: Tenant, device: Device, kind: str = "SIM", *, match: str = "*", **terms: Any) -> Any:
    return tenant.api.put(path_of(device, kind), {"ends_at": END, **terms}, If_Match=match)


def test_n3_a_validity_is_set_replaced_and_cleared_with_its_history(ours: Tenant, device: Device) -> None:
    unset = ours.api.get(path_of(device))
    assert unset.json() == {"kind": "SIM", "starts_at": None, "ends_at": None, "set_at": None, "set_by": None}
    made = put(ours, device, match=unset["ETag"], starts_at="2026-01-01T00:00:00+08:00", why="contract 7")
    assert (made.status_code, made.json()["starts_at"], made.json()["ends_at"]) == (200, "2025-12-31T16:00:00Z", END)
    assert made.json()["set_by"] == f"API key {ours.key.prefix}"
    assert made["ETag"] == ours.api.get(path_of(device))["ETag"]
    replaced = put(ours, device, match=made["ETag"], ends_at=LATER)
    assert (replaced.json()["starts_at"], replaced.json()["ends_at"]) == (None, LATER)
    both = ours.api.get(f"/devices/{device.pk}/validities").json()["validities"]
    assert [(each["kind"], each["ends_at"]) for each in both] == [("SIM", LATER), ("RTK", None)]
    cleared = ours.api.client.delete(
        f"/api/v1{path_of(device)}", headers={"Authorization": f"Bearer {ours.api.key}", "If-Match": replaced["ETag"]}
    )
    assert (cleared.status_code, cleared.content) == (204, b"")
    assert ours.api.get(path_of(device)).json() == unset.json()
    events = ours.api.get(f"{path_of(device)}/history").json()["events"]
    assert [event["kind"] for event in events] == ["sim_service.cleared", "sim_service.set", "sim_service.set"]
    assert (events[-1]["why"], events[-1]["actor"]) == ("contract 7", f"API key {ours.key.prefix}")
    assert ours.api.get(f"{path_of(device, 'RTK')}/history").json() == {"events": []}


def test_n5_the_same_validity_again_is_not_set_anew(ours: Tenant, device: Device) -> None:
    first = put(ours, device).json()
    assert put(ours, device).json() == first
    with system_scope():
        assert Event.objects.filter(kind="sim_service.set").count() == 1


def test_f99_what_changed_meanwhile_is_not_overwritten(ours: Tenant, device: Device) -> None:
    read = ours.api.get(path_of(device))["ETag"]
    put(ours, device)
    assert code(put(ours, device, match=read, ends_at=LATER)) == (412, "precondition_failed")
    assert code(ours.api.put(path_of(device), {"ends_at": END})) == (428, "precondition_required")
    assert ours.api.get(path_of(device)).json()["ends_at"] == END
    # The other service has a version of its own.
    assert put(ours, device, "RTK", match=ours.api.get(path_of(device, "RTK"))["ETag"]).status_code == 200


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"ends_at": None}, "ends_at"),
        ({"ends_at": "2027-12-31"}, "ends_at"),
        ({"ends_at": 5}, "ends_at"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"why": 5}, "why"),
        ({"why": "x" * 301}, "why"),
        ({"set_by": "me"}, "set_by"),
        ({"product": 1}, "product"),
    ],
)
def test_f82_a_wrong_field_is_refused_by_name(ours: Tenant, device: Device, terms: dict[str, Any], field: str) -> None:
    refused = put(ours, device, **terms)
    assert (code(refused), wrong_fields(refused)) == ((400, "invalid_request"), {field})


@pytest.mark.parametrize("terms", [{"starts_at": END}, {"ends_at": "2999-01-01T00:00:00Z"}])
def test_an_end_that_cannot_be_is_refused_beside_its_field(ours: Tenant, device: Device, terms: dict[str, Any]) -> None:
    refused = put(ours, device, **terms)
    assert (code(refused), wrong_fields(refused)) == ((422, "validity_refused"), {"ends_at"})


def test_a_terminated_device_keeps_its_validity_and_gets_no_other(ours: Tenant, device: Device) -> None:
    put(ours, device)
    with system_scope():
        terminate_device(device=device, actor="ann", now=clock.now())
    assert code(put(ours, device, ends_at=LATER)) == (422, "device_terminated")
    assert ours.api.get(path_of(device)).json()["ends_at"] == END


@pytest.mark.parametrize("path", ["/validities/GPS", "/validities/sim", "/validities/SIM/x"])
def test_there_are_two_services_and_no_other(ours: Tenant, device: Device, path: str) -> None:
    assert code(ours.api.get(f"/devices/{device.pk}{path}")) == (404, "not_found")


def test_the_list_is_filtered_by_device_service_and_end_and_ordered_by_it(ours: Tenant) -> None:
    now = clock.now()
    with system_scope():
        devices = [make_device(ours.product).device for _ in range(3)]
        days = {ServiceKind.SIM: 20, ServiceKind.RTK: 200}
        wanted = [
            ValiditySetting(device.pk, kind, now + timedelta(days=number + days[kind]))
            for number, device in enumerate(devices)
            for kind in ServiceKind
        ]
        set_validities(wanted, actor="ann", now=now)
    first, last = devices[0].pk, devices[2].pk

    def found(query: str) -> list[tuple[int, str]]:
        rows = ours.api.get(f"/validities?{query}").json()["results"]
        return [(row["device"], row["kind"]) for row in rows]

    assert found(f"device={first}&ordering=id") == [(first, "SIM"), (first, "RTK")]
    sims = [(device.pk, "SIM") for device in devices]
    assert found("kind=SIM&ordering=ends") == sims
    assert found("kind=SIM&ordering=-ends") == sims[::-1]
    assert found("ends=30") == sims  # a range of ends decides the order
    assert found("ends=over") == []
    day = f"{now + timedelta(days=22):%Y-%m-%d}"
    assert found(f"ends_to={day}&ordering=-ends") == sims[::-1]
    assert found(f"ends_from={day}&ends_to={day}") == [(last, "SIM")]
    assert len(found(f"product={ours.product.pk}")) == len(found(f"enterprise={ours.enterprise.pk}")) == 6
    page = ours.api.get("/validities?ordering=ends&page_size=4").json()
    rest = ours.api.get(page["next"].partition("/api/v1")[2]).json()
    assert len({row["id"] for row in page["results"] + rest["results"]}) == 6
    for query in ("ordering=set_by", "colour=red", "kind=GPS", "device=x", "ends=5"):
        assert code(ours.api.get(f"/validities?{query}")) == (400, "invalid_parameters"), query


def test_r6_another_tenants_device_answers_as_a_missing_one(ours: Tenant, other: Tenant, device: Device) -> None:
    with system_scope():
        theirs = make_device(other.product).device
        missing = Device(pk=10**9)
    put(other, theirs)
    for tail in ("", "/SIM", "/SIM/history"):
        for each in (theirs, missing):
            assert code(ours.api.get(f"/devices/{each.pk}/validities{tail}")) == (404, "not_found")
    for each in (theirs, missing):
        assert code(put(ours, each)) == (404, "not_found")
    assert ours.api.get("/validities").json()["results"] == []
    assert ours.api.get(f"/validities?device={theirs.pk}").json() == ours.api.get("/validities?device=987654").json()


def test_e1_a_parent_sets_what_its_child_has_and_not_the_other_way_round(ours: Tenant, device: Device) -> None:
    below = make_tenant("below", parent=ours.enterprise)
    with system_scope():
        theirs = make_device(below.product).device
    assert put(ours, theirs).status_code == 200
    assert code(put(below, device)) == (404, "not_found")


@pytest.mark.parametrize(("scope", "reads", "writes"), [("validities:read", 200, 403), ("validities:write", 403, 200)])
def test_x2_reading_and_setting_need_a_scope_each(
    ours: Tenant, device: Device, scope: str, reads: int, writes: int
) -> None:
    api = ours.keyed(scope)
    assert [api.get(f"/devices/{device.pk}/validities{tail}").status_code for tail in ("", "/SIM")] == [reads] * 2
    assert api.put(path_of(device), {"ends_at": END}, If_Match="*").status_code == writes
    with system_scope():
        assert Validity.objects.exists() is (writes == 200)
