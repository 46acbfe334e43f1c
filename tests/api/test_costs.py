"""What each endpoint costs in queries, in one table, for one row and for thirty.

Two are for the key with its maker's roles, and for the subtree; then two for a page (keys, then rows) or one for a row;
one more for the product's clock. Filters by a product or an enterprise look it up: see the last tests.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from amp.management.commands.schema import WHERE
from tests.api.calling import Tenant, code
from tests.api.furniture import address, grow

COSTS = {
    "/me": 3,
    "/enterprises": 3,
    "/enterprises/{enterprise}": 4,
    "/products": 3,
    "/products/{product}": 3,
    "/products/{product}/rule": 4,
    "/products/{product}/tsl": 4,
    "/plans": 3,
    "/plans/{plan}": 3,
    "/devices": 3,
    "/devices/{device}": 3,
    "/devices/{device}/presence": 3,
    "/device-services": 3,
    "/devices/{device}/validities": 4,
    "/devices/{device}/validities/{kind}": 4,
    "/devices/{device}/validities/{kind}/history": 4,
    "/validities": 3,
    "/device-services/{device}": 3,
    "/device-services/{device}/history": 5,
    "/device-services/{device}/preview": 10,
    "/commands": 3,
    "/commands/{command}": 3,
    "/notices": 3,
    "/notices/{notice}": 3,
    "/orders": 3,
    "/orders/{order}": 3,
    "/orders/{order}/lines": 4,
    "/orders/{paid}/receipt": 4,
    "/orders/{paid}/receipt.pdf": 5,
    "/fapiao-requests": 3,
    "/fapiao-requests/{fapiao}": 3,
    "/refunds": 3,
    "/refunds/{refund}": 3,
    "/payment-exceptions": 3,
    "/payment-exceptions/{case}": 3,
    "/webhooks": 3,
    "/webhooks/{webhook}": 3,
    "/webhook-deliveries": 3,
    "/webhook-deliveries/{delivery}": 3,
}


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
    "/devices?product={product}": 4,
    "/devices?enterprise={enterprise}": 5,
    "/device-services?product={product}": 4,
    "/device-services?enterprise={enterprise}": 5,
    "/validities?product={product}": 4,
    "/validities?enterprise={enterprise}": 5,
    "/orders?enterprise={enterprise}": 5,
    "/notices?enterprise={enterprise}": 5,
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
        body = answer.json()
        body["errors"] = [{**error, "message": error["message"].replace(value, "")} for error in body["errors"]]
        told.append(body | {"request_id": ""})
    assert told[0] == told[1]
    for wrong in ("x", "0", "-1", "01", "1.0", "9" * 40, "\u0661"):
        assert code(ours.api.get(f"{path}={wrong}")) == (400, "invalid_parameters"), wrong


def described(path: str) -> str:
    """`/plans/{plan}` as the description writes it."""
    head, brace, rest = path.partition("{")
    return f"{head}{{id}}{rest.partition('}')[2]}" if brace else path
