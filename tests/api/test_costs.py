"""What each endpoint costs in queries, in one table, for one row and for thirty.

Three are for the key, its maker's roles and the subtree; then two for a page (keys, then rows) or one for a row;
one more for the product's clock. Filters by a product or an enterprise look it up: see the last tests.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from amp.management.commands.schema import WHERE
from billing.fapiao import Buyer
from billing.models import Effect, FapiaoRequest, Order, OrderChannel, PaymentException, Refund
from billing.orders import ExceptionKind
from billing.services.attempts import start_attempt
from billing.services.fapiao import request_fapiao
from billing.services.ordering import open_order
from billing.services.refund_proposals import make_refund
from billing.services.settlement import raise_exception
from devices.models import Command, CommandKind, DeviceService, ServiceKind
from devices.services.commands import CommandOrder, order_commands
from devices.services.validities import ValiditySetting, set_validities
from tests.api.calling import Tenant, code
from tests.api.furniture import order_paid
from tests.factories import make_device, make_enterprise, make_plan, make_product

COSTS = {
    "/me": 3,
    "/enterprises": 5,
    "/enterprises/{enterprise}": 5,
    "/products": 5,
    "/products/{product}": 4,
    "/products/{product}/rule": 5,
    "/products/{product}/tsl": 5,
    "/plans": 5,
    "/plans/{plan}": 4,
    "/devices": 5,
    "/devices/{device}": 4,
    "/devices/{device}/presence": 4,
    "/device-services": 5,
    "/devices/{device}/validities": 5,
    "/devices/{device}/validities/{kind}": 5,
    "/devices/{device}/validities/{kind}/history": 5,
    "/validities": 5,
    "/device-services/{device}": 4,
    "/device-services/{device}/history": 6,
    "/device-services/{device}/preview": 11,
    "/commands": 5,
    "/commands/{command}": 4,
    "/orders": 5,
    "/orders/{order}": 4,
    "/orders/{order}/lines": 6,
    "/orders/{paid}/receipt": 5,
    "/orders/{paid}/receipt.pdf": 6,
    "/fapiao-requests": 5,
    "/fapiao-requests/{fapiao}": 4,
    "/refunds": 5,
    "/refunds/{refund}": 4,
    "/payment-exceptions": 5,
    "/payment-exceptions/{case}": 4,
}


def grow(tenant: Tenant, rows: int) -> None:
    """So many rows more of everything that lists hold; one order of so many devices, and as many of one."""
    now = clock.now()
    with system_scope():
        devices = [make_device(tenant.product).device.pk for _ in range(rows)]
        DeviceService.objects.filter(pk__in=devices).update(state="EXPIRED", generation=1)
        for number in range(rows):
            make_plan(make_product(make_enterprise(parent=tenant.enterprise)), name=f"plan {number}")
        for asked in (devices, *([device] for device in devices)):
            open_order(
                device_ids=asked, plan=tenant.plan, channel=OrderChannel.API, created_by="test", once_key=None, now=now
            )
        for order in Order.objects.filter(line_count=1, attempts=None):
            attempt = start_attempt(order=order, now=now, wall=clock.wall())
            raise_exception(
                attempt,
                ExceptionKind.LATE,
                amount=1,
                currency="CNY",
                facts={"code": "paid_late", "order": "case"},
                now=now,
            )
            make_refund(attempt, 1, "CNY", "x", Effect.KEEP, has_lines=False, asked_by="test", now=now)
        buyer = Buyer("Buyer", "91310000MA1FL0XX8A", "a@b.cn")
        request_fapiao(order=order_paid(tenant, devices[-1], f"T{rows}"), buyer=buyer, actor="test", now=now)
        ends = [ValiditySetting(device, ServiceKind.SIM, now + timedelta(days=9)) for device in devices]
        set_validities(ends, actor="test", now=now)
        order_commands(
            [CommandOrder(device, tenant.enterprise.pk, tenant.product.pk, CommandKind.LOCK, 1) for device in devices],
            now=now,
        )


def address(path: str, tenant: Tenant) -> str:
    """The path of the tenant's first row."""
    with system_scope():
        device = DeviceService.objects.order_by("pk").first()
        ids = {
            "enterprise": tenant.enterprise.pk,
            "product": tenant.product.pk,
            "plan": tenant.plan.pk,
            "device": device.pk if device else 0,
            "kind": "SIM",
            "command": Command.objects.order_by("pk").values_list("pk", flat=True).first(),
            "fapiao": FapiaoRequest.objects.values_list("pk", flat=True).first(),
            "refund": Refund.objects.values_list("pk", flat=True).first(),
            "case": PaymentException.objects.values_list("pk", flat=True).first(),
            "order": Order.objects.order_by("-line_count").values_list("pk", flat=True).first(),
            "paid": Order.objects.exclude(paid_at=None).values_list("pk", flat=True).first(),
        }
    return path.format(**ids)


def costs(tenant: Tenant) -> dict[str, int]:
    """Queries of each endpoint, asked once; each must answer 200."""
    tenant.api.get("/me")  # the hour of use is written
    counted = {}
    for path in COSTS:
        asked = address(path, tenant)
        with CaptureQueriesContext(connection) as queries:
            response = tenant.api.get(asked)
        assert response.status_code == 200, (asked, response.content)
        counted[path] = len(queries)
    return counted


def test_queries_are_as_many_for_thirty_rows_as_for_one_G2_F93(ours: Tenant) -> None:
    grow(ours, 1)
    assert costs(ours) == COSTS
    grow(ours, 29)
    assert len(ours.api.get("/devices?page_size=100").json()["results"]) == 30
    assert costs(ours) == COSTS


def test_history_of_many_events_costs_as_much_as_that_of_one(ours: Tenant) -> None:
    grow(ours, 1)
    path = address("/device-services/{device}/history", ours)
    with system_scope():
        event = Event.objects.filter(subject__startswith="device:").values().first()
        assert event is not None
        copied = {name: value for name, value in event.items() if name not in ("id", "public_id")}
        Event.objects.bulk_create(Event(**copied) for _ in range(150))
    ours.api.get("/me")
    with CaptureQueriesContext(connection) as queries:
        told = ours.api.get(path).json()
    assert len(queries) == COSTS["/device-services/{device}/history"]
    assert len(told["events"]) == 100


def test_table_names_every_endpoint_that_is_read() -> None:
    """One that isn't listed fails here."""
    paths: dict[str, Any] = json.loads(WHERE.read_text())["paths"]
    read = {path.removeprefix("/api/v1") for path, each in paths.items() if "get" in each}
    assert {described(path) for path in COSTS} == read


FILTERED = {
    "/devices?product={product}": 6,
    "/devices?enterprise={enterprise}": 7,
    "/device-services?product={product}": 6,
    "/device-services?enterprise={enterprise}": 7,
    "/validities?product={product}": 6,
    "/validities?enterprise={enterprise}": 7,
    "/orders?enterprise={enterprise}": 7,
}
"""One for the product; for the enterprise one to find it and one for those below it."""


def filtered_costs(tenant: Tenant) -> dict[str, int]:
    """Queries of each filtered list, which holds something."""
    counted = {}
    for path in FILTERED:
        asked = address(path, tenant)
        with CaptureQueriesContext(connection) as queries:
            response = tenant.api.get(asked)
        assert response.json()["results"], path
        counted[path] = len(queries)
        assert not [query for query in queries if "catalog_product" in query["sql"] and "LIMIT" not in query["sql"]]
    return counted


def test_a_filter_by_product_or_enterprise_costs_the_same_however_many_there_are_F72_F93(ours: Tenant) -> None:
    grow(ours, 1)
    ours.api.get("/me")
    assert filtered_costs(ours) == FILTERED
    grow(ours, 9)  # each with a product and an enterprise of its own
    assert filtered_costs(ours) == FILTERED


@pytest.mark.parametrize("path", sorted({path.partition("=")[0] for path in FILTERED}))
def test_a_filter_by_a_foreign_row_answers_exactly_as_by_a_missing_one_R6_F72(
    ours: Tenant, other: Tenant, path: str
) -> None:
    foreign = other.product.pk if path.endswith("product") else other.enterprise.pk
    told = []
    for value in (str(foreign), "987654321"):
        answer = ours.api.get(f"{path}={value}")
        assert code(answer) == (400, "invalid_parameters")
        told.append(answer.content.decode().replace(answer["X-Request-ID"], "").replace(value, ""))
    assert told[0] == told[1]
    for wrong in ("x", "0", "-1", "01", "1.0", "9" * 40, "\u0661"):
        assert code(ours.api.get(f"{path}={wrong}")) == (400, "invalid_parameters"), wrong


def described(path: str) -> str:
    """`/plans/{plan}` as the description writes it."""
    head, brace, rest = path.partition("{")
    return f"{head}{{id}}{rest.partition('}')[2]}" if brace else path
