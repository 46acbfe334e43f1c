"""SIM and RTK services: a validity that staff and imports set, one row a device and kind, told by events (N3, N5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from amp.foundation.models import Event, Role
from amp.foundation.scoping import enterprise_scope, system_scope
from devices.models import Device, ImportKind, ServiceKind, Validity
from devices.services.registration import terminate_device
from devices.services.validities import ValidityRefusal, ValiditySetting, extended_end, set_validities
from tests.factories import NOW, make_device, make_enterprise, make_product
from tests.services.admin_world import Maker, made_makers, makers
from tests.services.importing import counts, make_desk, told

__all__ = ["made_makers", "makers"]

DAY = timedelta(days=1)
SIM, RTK = ServiceKind.SIM, ServiceKind.RTK
END = datetime(2027, 3, 31, 16, 0, tzinfo=UTC)


@pytest.fixture
def system() -> Iterator[None]:
    with system_scope():
        yield


def put(*settings: ValiditySetting, now: datetime = NOW) -> list[tuple[bool, ValidityRefusal | None]]:
    """(changed, refusal) of each."""
    outcomes = set_validities(settings, actor="ann", now=now)
    return [(outcome.changed, outcome.refusal) for outcome in outcomes]


def kinds(device: Device) -> list[str]:
    """Kinds of the device's events about these services, in order."""
    events = Event.objects.filter(subject=f"device:{device.pk}", kind__contains="_service.").order_by("id")
    return list(events.values_list("kind", flat=True))


@pytest.mark.django_db
def test_n3_a_service_is_set_extended_and_cleared_with_its_history(system: None) -> None:
    device = make_device().device
    assert put(ValiditySetting(device.pk, SIM, END, why="contract 7")) == [(True, None)]
    assert put(ValiditySetting(device.pk, SIM, END + DAY), now=NOW + DAY) == [(True, None)]
    validity = Validity.objects.get()
    assert (validity.ends_at, validity.set_at, validity.set_by) == (END + DAY, NOW + DAY, "ann")
    assert (validity.enterprise_id, validity.product_id) == (device.enterprise_id, device.product_id)
    assert put(ValiditySetting(device.pk, SIM, None, why="sold")) == [(True, None)]
    assert not Validity.objects.exists()
    assert kinds(device) == ["sim_service.set", "sim_service.set", "sim_service.cleared"]
    last = Event.objects.get(kind="sim_service.cleared")
    assert (last.why, last.before["ends_at"], last.after) == ("sold", (END + DAY).isoformat(), None)


@pytest.mark.django_db
def test_n5_an_end_that_stands_already_is_not_set_anew(system: None) -> None:
    device = make_device().device
    put(ValiditySetting(device.pk, RTK, END))
    assert put(ValiditySetting(device.pk, RTK, END), now=NOW + DAY) == [(False, None)]
    assert put(ValiditySetting(device.pk, SIM, None)) == [(False, None)]
    assert Validity.objects.get().set_at == NOW
    assert kinds(device) == ["rtk_service.set"]


@pytest.mark.django_db
def test_n3_what_cannot_be_set_is_refused_and_the_rest_is_set(system: None) -> None:
    live, gone = make_device().device, make_device().device
    terminate_device(device=gone, actor="ann", now=NOW)
    outcomes = put(
        ValiditySetting(live.pk, SIM, END),
        ValiditySetting(live.pk, SIM, END + DAY),
        ValiditySetting(live.pk, RTK, END, starts_at=END),
        ValiditySetting(live.pk, RTK, NOW + 40 * 365 * DAY),
        ValiditySetting(gone.pk, SIM, END),
        ValiditySetting(10**12, SIM, END),
    )
    assert outcomes == [
        (True, None),
        (False, ValidityRefusal.TWICE),
        (False, ValidityRefusal.ENDS_BEFORE_START),
        (False, ValidityRefusal.TOO_FAR),
        (False, ValidityRefusal.TERMINATED),
        (False, ValidityRefusal.NO_DEVICE),
    ]
    assert list(Validity.objects.values_list("device", "kind")) == [(live.pk, "SIM")]


@pytest.mark.django_db
def test_r6_a_device_outside_the_scope_answers_as_a_missing_one(system: None) -> None:
    ours, other = make_device().device, make_device().device
    with enterprise_scope([ours.enterprise_id]):
        assert put(ValiditySetting(other.pk, SIM, END), ValiditySetting(ours.pk, SIM, END)) == [
            (False, ValidityRefusal.NO_DEVICE),
            (True, None),
        ]


@pytest.mark.django_db
def test_n3_the_database_holds_one_row_a_service_and_no_end_before_the_start(system: None) -> None:
    device = make_device().device
    put(ValiditySetting(device.pk, SIM, END))
    row = Validity.objects.get()
    for spoiled in ({"kind": "SIM"}, {"kind": "RTK", "starts_at": END}):
        copy = Validity(
            enterprise=row.enterprise, product=row.product, device=device, ends_at=END, set_at=NOW, **spoiled
        )
        with pytest.raises(IntegrityError), transaction.atomic():
            copy.save()


@pytest.mark.django_db
def test_many_settings_cost_as_many_statements_as_one(system: None, django_assert_max_num_queries) -> None:
    desk = make_desk()
    desk.run("key\n" + "\n".join(f"k{number}" for number in range(500)))
    ids = list(Device.objects.values_list("pk", flat=True))
    with django_assert_max_num_queries(8):
        assert {changed for changed, _ in put(*(ValiditySetting(pk, SIM, END) for pk in ids))} == {True}
    with django_assert_max_num_queries(8):
        put(*(ValiditySetting(pk, SIM, END + DAY) for pk in ids), now=NOW + DAY)
    assert Validity.objects.filter(ends_at=END + DAY).count() == 500


def test_n3_an_extension_goes_on_from_the_end_that_stands_or_from_now() -> None:
    assert extended_end(datetime(2027, 1, 31, tzinfo=UTC), 1, NOW, "UTC") == datetime(2027, 2, 28, tzinfo=UTC)
    assert extended_end(None, 12, NOW, "UTC") == NOW.replace(year=2027)
    assert extended_end(NOW - 9 * DAY, 12, NOW, "UTC") == NOW.replace(year=2027)


@pytest.mark.django_db
def test_n3_validities_are_imported_and_the_same_file_changes_nothing(system: None) -> None:
    desk = make_desk()
    child = make_enterprise(parent=desk.enterprise)
    for key in ("k1", "k2"):
        make_device(desk.product, key=key, enterprise=child)
    content = "key,service,until\nk1,SIM,2027-03-31\nk1,RTK,2027-03-31\nk2,sim,2027-04-30\nk3,SIM,2027-03-31\n"
    job = desk.run(content, ImportKind.VALIDITIES, why="yearly contract")
    assert (job.state, counts(job), told(job)) == ("DONE", (0, 3, 0, 1), [(5, "key", "unknown_device")])
    assert Validity.objects.get(device__key="k1", kind="SIM").ends_at == END
    assert Event.objects.filter(kind="sim_service.set", why="yearly contract", actor="ann").count() == 2
    assert not job.secrets_kept
    assert counts(desk.stage(content, ImportKind.VALIDITIES)) == (0, 0, 3, 1)


@pytest.mark.django_db
def test_f81_a_device_of_another_tenant_a_sibling_or_no_product_answers_as_an_unknown_one(system: None) -> None:
    parent = make_desk()
    ours, sibling = (make_enterprise(parent=parent.enterprise) for _ in range(2))
    make_device(parent.product, key="theirs", enterprise=sibling)
    make_device(parent.product, key="above")
    foreign = make_device(key="foreign").device
    rows = [
        ("theirs", parent.product.key),
        ("above", parent.product.key),
        ("foreign", foreign.product.key),
        ("none", "none"),
    ]
    content = "key,product,service,until\n" + "\n".join(f"{key},{product},SIM,2027-03-31" for key, product in rows)
    job = parent.stage(content, ImportKind.VALIDITIES, enterprise=ours)
    assert told(job) == [(line, "key", "unknown_device") for line in (2, 3, 4, 5)]


def page_of(device: Device, kind: str = "SIM") -> str:
    """Where one service of a device is changed."""
    return f"/admin/devices/device/{device.pk}/validity/{kind}/"


def post(client: Client, device: Device, **given: str) -> int:
    """Answer to a change."""
    return int(client.post(page_of(device), {"why": "contract", "months": "12", **given}).status_code)


def test_n3_staff_set_extend_and_clear_on_the_page_of_a_device(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, device = ours.client(Role.OPERATOR), ours.devices[0]
    assert post(client, device, change="set", ends_on="2030-03-31", starts_on="2026-01-01") == 302
    tab = client.get(f"/admin/devices/device/{device.pk}/change/?tab=services").content.decode()
    assert "1 Apr 2030, 00:00" in tab
    assert post(client, device, change="extend") == 302
    with system_scope():
        assert Validity.objects.get().ends_at == datetime(2031, 3, 31, 16, 0, tzinfo=UTC)
    assert "2031-03-31" in client.get(page_of(device)).content.decode()
    assert post(client, device, change="clear") == 302
    with system_scope():
        assert not Validity.objects.exists()


@pytest.mark.parametrize(
    "given",
    [
        {"change": "set"},
        {"change": "set", "ends_on": "9999-12-31"},
        {"change": "set", "ends_on": "2030-02-30"},
        {"change": "set", "ends_on": "2099-01-01"},
        {"change": "set", "ends_on": "2030-01-01", "starts_on": "2030-01-02"},
        {"change": "extend", "months": "7"},
        {"change": "paint"},
        {"change": "clear", "why": ""},
        {"change": "clear", "why": "x\0"},
    ],
)
def test_n3_what_is_typed_wrong_is_told_and_changes_nothing(makers: tuple[Maker, Maker], given: dict[str, str]) -> None:
    ours, _ = makers
    answer = ours.client().post(page_of(ours.devices[0]), {"why": "contract", "months": "12", **given})
    assert answer.status_code in {200, 422}
    assert answer.context["form"].errors
    with system_scope():
        assert not Validity.objects.exists()


def test_r6_another_tenants_device_is_missing_and_readers_are_refused(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    assert post(ours.client(), other.devices[0], change="clear") == 404
    assert ours.client().get(page_of(ours.devices[0], "GPS")).status_code == 404
    assert post(ours.client(Role.READ_ONLY), ours.devices[0], change="clear") == 403


def test_n3_the_list_filters_by_service_and_end_and_shows_no_other_tenant(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    with system_scope():
        for maker in makers:
            put(*(ValiditySetting(device.pk, SIM, datetime(2040, 3, 31, tzinfo=UTC)) for device in maker.devices[:2]))
        put(ValiditySetting(ours.devices[2].pk, RTK, datetime(2030, 1, 1, tzinfo=UTC)))
    address = "/admin/devices/validity/"
    pages = {
        query: client.get(f"{address}{query}").content.decode()
        for query in ("", "?kind=RTK", "?ends_from=2040-01-01", "?ends=30", "?ends_to=2035-01-01")
    }
    assert "other-" not in pages[""]
    found = {query: [number for number in range(3) if f"ours-{number}" in page] for query, page in pages.items()}
    assert found == {
        "": [0, 1, 2],
        "?kind=RTK": [2],
        "?ends_from=2040-01-01": [0, 1],
        "?ends=30": [],
        "?ends_to=2035-01-01": [2],
    }
    assert client.get(f"{address}?colour=red").status_code == 400


def test_the_list_of_validities_needs_few_queries_for_many_rows(
    makers: tuple[Maker, Maker],
    django_assert_max_num_queries,
) -> None:
    ours, _ = makers
    with system_scope():
        product = make_product(ours.enterprise)
        ids = [make_device(product).device.pk for _ in range(30)]
        put(*(ValiditySetting(pk, kind, END) for pk in ids for kind in ServiceKind))
    client = ours.client()
    client.get("/admin/devices/validity/")
    with django_assert_max_num_queries(14):
        assert client.get("/admin/devices/validity/").status_code == 200
