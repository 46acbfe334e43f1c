"""The description is good enough to make a client from: that of docs/integrators.md is made and used here."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.cache import cache
from pytest_django.live_server_helper import LiveServer

from amp.foundation.scoping import system_scope
from amp.management.commands.schema import WHERE
from devices.models import DeviceService
from tests.api.calling import Tenant, make_tenant
from tests.api.generated import PACKAGE, generated

__all__ = ["generated"]


@pytest.fixture
def tenant(generated: Path, live_server: LiveServer) -> Tenant:
    """Somebody with a key, beside the running server."""
    cache.clear()
    return make_tenant("Greenfield")


@pytest.fixture
def client(tenant: Tenant, live_server: LiveServer) -> Any:
    """A client with the key; every answer that is no JSON of the description raises."""
    return part("client").AuthenticatedClient(base_url=live_server.url, token=tenant.api.key)


def part(name: str) -> ModuleType:
    """A module of the generated package."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def call(name: str, client: Any, *given: Any, **named: Any) -> Any:
    """The parsed answer of an operation, such as `devices.devices_create`."""
    return part(f"api.{name}").sync(*given, client=client, **named)


def test_client_is_made_with_every_operation(generated: Path) -> None:
    modules = {path.stem for path in (generated / "api").glob("*/*.py")} - {"__init__"}
    assert len(modules) == WHERE.read_text().count('"operationId"') >= 40


def test_client_says_who_it_is(client: Any, tenant: Tenant) -> None:
    told = call("me.me_retrieve", client)
    assert (told.enterprise.id, told.enterprise.name) == (tenant.enterprise.pk, "Greenfield")
    assert told.key.prefix == tenant.key.prefix


def test_client_registers_a_device_and_lists_it(client: Any, tenant: Tenant) -> None:
    body = part("models").NewDeviceRequest(product=tenant.product.pk, key="AS-4821", serial="GF-1")
    made = call("devices.devices_create", client, body=body, idempotency_key="one")
    assert made.mqtt.user_name == f"{tenant.product.key}/AS-4821"
    assert call("devices.devices_create", client, body=body, idempotency_key="one") == made  # R7
    [row] = call("devices.devices_list", client, key="AS-4821").results
    assert (row.id, row.serial, row.service_ends_at, row.created_at) == (made.id, "GF-1", None, made.created_at)


def test_client_previews_renews_and_reads_the_lines(client: Any, tenant: Tenant) -> None:
    models = part("models")
    body = models.NewDeviceRequest(product=tenant.product.pk, key="AS-4821")
    device = call("devices.devices_create", client, body=body, idempotency_key="one").id
    with system_scope():
        DeviceService.objects.filter(pk=device).update(state="EXPIRED")
    offered = call("device_services.device_services_preview_retrieve", client, device)
    assert [(offer.plan, offer.refusal) for offer in offered.offers] == [(tenant.plan.pk, None)]
    renewal = models.RenewalRequest(plan=offered.offers[0].plan)
    order = call("device_services.device_services_renew_create", client, device, body=renewal, idempotency_key="two")
    assert (order.status, order.devices, order.total) == ("PENDING", 1, tenant.plan.amount)
    [line] = call("orders.orders_lines_list", client, order.id).results
    assert line.device == device
    assert line.previewed_ends_at >= offered.offers[0].new_ends_at  # a moment later, so a moment longer


def test_client_reads_a_refusal_as_the_problem_that_it_is(client: Any, tenant: Tenant) -> None:
    told = call("products.products_retrieve", client, 10**9)
    assert (type(told).__name__, told.status, told.code) == ("Problem", 404, "not_found")
