"""The admin's pages: who sees what, and what no page may do (R6, X2, house 7, 11, 12)."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amp.foundation import clock
from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from tests.factories import UserFactory, make_device
from tests.services.admin_world import LISTS, Maker, made_makers, makers, rows

__all__ = ["made_makers", "makers"]


def list_address(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


@pytest.mark.parametrize("role", [Role.ENTERPRISE_ADMINISTRATOR, Role.READ_ONLY])
def test_every_page_opens_for_members_and_changes_nothing(makers: tuple[Maker, Maker], role: Role) -> None:
    ours, _ = makers
    client = ours.client(role)
    before = rows()
    with system_scope():
        addresses = ours.addresses()
    if role is Role.READ_ONLY:
        assert client.get(addresses.pop("renew")).status_code == 403
    for name, address in {**addresses, **{name: list_address(name) for name in LISTS}, "overview": "/admin/"}.items():
        assert client.get(address).status_code == 200, name
    assert rows() == before


def test_other_tenants_pages_answer_404_as_missing_ones_do_R6(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    client = ours.client()
    with system_scope():
        addresses = other.addresses()
    for name, address in addresses.items():
        assert client.get(address).status_code == 404, name
    for name, address in other.changes().items():
        assert client.post(address).status_code == 404, name


def test_lists_show_no_row_of_another_tenant_R6(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    for name in LISTS:
        page = client.get(list_address(name)).content.decode()
        assert not re.search(r"\bother\b(-\d| product| plan)", page), name
    for address in ("/admin/catalog/plan/add/", "/admin/devices/device/add/", "/admin/devices/device/import/"):
        assert "other product" not in client.get(address).content.decode(), address


def test_somebody_without_a_membership_sees_nothing(db: None) -> None:
    client = Client()
    client.force_login(UserFactory())
    answer = client.get("/admin/devices/device/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/")


def test_changes_are_made_by_post_alone(makers: tuple[Maker, Maker]) -> None:
    """A link, a prefetch or an image can't change anything (house 12)."""
    ours, _ = makers
    client, before = ours.client(), rows()
    for name, address in ours.changes().items():
        assert client.get(address).status_code == 405, name
    assert rows() == before


def test_reading_roles_are_refused_every_change_X2(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, before = ours.client(Role.READ_ONLY), rows()
    for name, address in ours.changes().items():
        assert client.post(address, {"key": ours.devices[0].key}).status_code == 403, name
    for address in ("/admin/catalog/product/add/", "/admin/devices/device/add/", "/admin/foundation/enterprise/add/"):
        assert client.get(address).status_code == 403, address
    assert client.post(f"/admin/catalog/product/{ours.product.pk}/device-service/").status_code == 403
    assert client.post(f"/admin/catalog/product/{ours.product.pk}/tsl/", {"text": "{}"}).status_code == 403
    assert rows() == before


def test_posts_need_the_token_of_the_form(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = Client(enforce_csrf_checks=True)
    client.force_login(ours.person(Role.ENTERPRISE_ADMINISTRATOR))
    for name, address in ours.changes().items():
        assert client.post(address).status_code == 403, name


@pytest.mark.parametrize(
    "name", ["billing_order", "billing_paymentattempt", "foundation_event", "devices_deviceservice"]
)
def test_records_born_from_events_can_be_neither_added_nor_deleted(makers: tuple[Maker, Maker], name: str) -> None:
    ours, _ = makers
    client = ours.client(Role.PLATFORM_ADMINISTRATOR)
    with system_scope():
        pk = ours.order.pk
    assert client.get(reverse(f"admin:{name}_add")).status_code == 403
    assert client.post(reverse(f"admin:{name}_delete", args=[pk]), {"post": "yes"}).status_code in {403, 404}


def test_operations_are_for_the_platform_alone(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    assert ours.client().get("/admin/operations/").status_code == 403
    assert ours.client(Role.PLATFORM_ADMINISTRATOR).get("/admin/operations/").status_code == 200


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("devices_device", 12),
        ("devices_deviceservice", 12),
        ("billing_order", 10),
        ("billing_paymentattempt", 10),
        ("catalog_product", 10),
        ("catalog_plan", 10),
        ("foundation_event", 10),
    ],
)
def test_lists_need_as_many_queries_for_many_rows_as_for_few(
    makers: tuple[Maker, Maker], name: str, limit: int
) -> None:
    ours, _ = makers
    client = ours.client()
    few = queries(client, list_address(name))
    with system_scope():
        for number in range(12):
            make_device(ours.product, key=f"more-{number}", now=clock.now())
    many = queries(client, list_address(name))
    assert many <= few <= limit


def test_the_details_of_a_device_need_a_fixed_number_of_queries(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    for tab in ("timeline", "periods", "orders", "commands", "presence", "access"):
        assert queries(client, f"/admin/devices/device/{ours.devices[0].pk}/change/?tab={tab}") <= 18, tab


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_who_may_not_renew_is_not_led_to_the_renewal_X2(makers: tuple[Maker, Maker]) -> None:
    """The link of a row led readers to a refusal."""
    ours, _other = makers
    link = "/admin/billing/order/renew/?device="
    assert link in ours.client().get("/admin/devices/deviceservice/").content.decode()
    reading = ours.client(Role.READ_ONLY)
    page = reading.get("/admin/devices/deviceservice/").content.decode()
    assert ours.devices[0].key in page
    assert link not in page
    assert reading.get(f"{link}{ours.devices[0].pk}").status_code == 403
