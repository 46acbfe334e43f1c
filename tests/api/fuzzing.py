"""Requests made up by Schemathesis from the committed description, bent towards rows that exist.

A made-up id reaches nothing, so most ids are swapped for those of rows: ours mostly, another tenant's sometimes. Texts
and numbers that databases and parsers stumble over are put into some bodies. Everything is drawn by Hypothesis without
chance: the same tree makes the same requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from alerts.models import Notice, Webhook, WebhookDelivery
from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import system_scope
from billing.models import FapiaoRequest, Order, PaymentException, Refund
from catalog.models import Plan, Product, ServiceLevel
from devices.models import Command, Device
from tests.api.calling import Tenant
from tests.factories import LOCK, STANDARD_TSL, UNLOCK

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
TABLES: dict[str, Any] = {
    "enterprises": Enterprise,
    "products": Product,
    "plans": Plan,
    "devices": Device,
    "device-services": Device,
    "commands": Command,
    "orders": Order,
    "refunds": Refund,
    "payment-exceptions": PaymentException,
    "fapiao-requests": FapiaoRequest,
    "notices": Notice,
    "webhooks": Webhook,
    "webhook-deliveries": WebhookDelivery,
    "level": ServiceLevel,
    "merchant": Merchant,
}
OF_FIELD = {"enterprise": "enterprises", "product": "products", "plan": "plans", "auto_plan": "plans"}
OF_FIELD |= {
    "devices": "devices",
    "level": "level",
    "merchant": "merchant",
    "device": "devices",
    "parent": "enterprises",
    "webhook": "webhooks",
}
ALIKE = hypothesis_settings(
    derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
"""The same requests each time, and no second look at a failure: the rows have changed since."""
FINAL = ("/cancel", "/terminate", "/withdraw", "/credential/revoke")
END = "2027-12-31T16:00:00Z"
BUYER = {"title": "上海暖通科技有限公司", "tax_number": "91310000MA1FL0XX8A", "email": "accounts@example.com"}
FEW = 8
"""How many of the oldest rows of a table are asked for by id, and how many of the newest."""
Draw = Callable[[st.SearchStrategy[Any]], Any]
WHOSE = st.sampled_from(["ours"] * 7 + ["theirs", "theirs", "nobody's"])
MOSTLY = st.sampled_from([True] * 5 + [False])
OFTEN = st.sampled_from([True, False])
SELDOM = st.sampled_from([False] * 5 + [True])
HOSTILE: tuple[Any, ...] = (
    *("\x00", "a\x00b", "\ud800", "\u202e\u2066", "\uffff", "'; DROP TABLE x; --", "<script>alert(1)</script>"),
    *("=cmd|' /C calc'!A0", "../../etc/passwd", "%s%n{}{0}", "é" * 300, "x" * 20_000, "", " ", "\n", "null", "NaN"),
    *(0, -1, 2**31, 2**63 - 1, 2**63, 10**40, 1e308, -0.0, True, None, [], {}, [[[[]]]], {"a": {"b": None}}),
    *("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "2026-01-01T00:00:60Z"),
)
HOSTILE_TEXTS = [one for one in HOSTILE if isinstance(one, str) and one != "\ud800"]  # no URL holds a surrogate


@dataclass
class Rows:
    """Ids that exist, by table: the caller's and the other tenant's."""

    ours: dict[str, list[int]]
    theirs: dict[str, list[int]]


def rows_of(ours: Tenant, theirs: Tenant) -> Rows:
    """Read anew before each operation: earlier ones made rows."""
    with system_scope():
        return Rows(_ids(ours.enterprise.pk), _ids(theirs.enterprise.pk))


def _ids(enterprise: int) -> dict[str, list[int]]:
    found = {}
    for name, model in TABLES.items():
        rows = model.objects.filter(**{"pk" if model is Enterprise else "enterprise": enterprise})
        ids = sorted(rows.values_list("pk", flat=True))
        found[name] = [*ids[:FEW], *ids[FEW:][-FEW:]]
    return found


@dataclass
class Fuzzer:
    """Sends generated requests with one tenant's key and holds every answer against the description."""

    ours: Tenant
    theirs: Tenant
    schema: Any
    numbers: Iterator[int] = field(default_factory=count)
    statuses: Counter[int] = field(default_factory=Counter)
    served: set[str] = field(default_factory=set)
    """Operations that answered 2xx at least once."""

    @cached_property
    def operations(self) -> list[Any]:
        """Rows are made first and ended last, so that all between find some."""
        return sorted((result.ok() for result in self.schema.get_all_operations()), key=_turn)

    def sends(self, operation: Any, mode: GenerationMode, requests: int) -> None:
        """So many requests to one operation. Raises what Schemathesis finds, with the request as curl."""
        rows = rows_of(self.ours, self.theirs)

        @hypothesis_settings(ALIKE, max_examples=requests)
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def send(case: Any, data: Any) -> None:
            self.answer(bent(case, rows, data.draw), data.draw)

        send()

    def machine(self) -> Any:
        """Sequences in which later requests take what earlier ones answered, as Schemathesis links the operations."""
        fuzzer = self

        class Sequences(self.schema.as_state_machine()):  # type: ignore[misc]
            def get_call_kwargs(self, case: Any) -> dict[str, Any]:
                return {"headers": fuzzer.headers(case)}

            def validate_response(self, response: Any, case: Any, **_options: Any) -> None:
                fuzzer.check(case, response)

        return Sequences

    def answer(self, case: Any, draw: Draw) -> None:
        """Send one request and check what comes back."""
        response = case.call(headers=self.headers(case) if draw(MOSTLY) else self.signature)
        self.check(case, response)

    @property
    def signature(self) -> dict[str, str]:
        """The key; and no compression, for the checks read the body as it came."""
        return {"Authorization": f"Bearer {self.ours.api.key}", "Accept-Encoding": "identity"}

    def headers(self, case: Any) -> dict[str, str]:
        """What makes a request go through: without them nearly all would be refused for a made-up version."""
        needed = dict(self.signature)
        needed |= {"Idempotency-Key": f"generated-{next(self.numbers)}"} if case.method == "POST" else {}
        needed |= {"If-Match": "*"} if case.method != "GET" else {}
        for name in {name.lower() for name in needed} & {name.lower() for name in case.headers or ()}:
            del case.headers[name]
        return needed

    def check(self, case: Any, response: Any) -> None:
        """The answer is one that the description promises."""
        case.validate_response(response, checks=CHECKS)
        self.statuses[response.status_code] += 1
        if response.status_code < 300:
            self.served.add(case.operation.label)


def _turn(operation: Any) -> tuple[bool, bool, str]:
    makes_rows = operation.method == "post" and "{" not in operation.path
    ends_rows = operation.path.endswith(FINAL) or (operation.method == "delete" and operation.path.endswith("{id}"))
    return not makes_rows, ends_rows, operation.label


def bent(case: Any, rows: Rows, draw: Draw) -> Any:
    """The request with ids of rows, and sometimes with something hostile, in place of what was made up."""
    table = case.path.split("/")[3]
    if "id" in case.path_parameters and (known := _known(table, rows, draw)) is not None:
        case.path_parameters["id"] = known
    if isinstance(case.body, dict):
        if (good := _good_body(case.operation.label, rows)) and draw(OFTEN):
            kept = draw(st.sampled_from(["", *sorted(case.body)]))
            case.body = {**good, **({kept: case.body[kept]} if kept else {})}
        case.body = {name: _bent(name, value, rows, draw) for name, value in case.body.items()}
        if case.body and draw(SELDOM):
            case.body[draw(st.sampled_from(sorted(case.body)))] = draw(st.sampled_from(HOSTILE))
    if case.query and draw(SELDOM):
        case.query[draw(st.sampled_from(sorted(case.query)))] = draw(st.sampled_from(HOSTILE_TEXTS))
    case._record_starting_state()  # else Schemathesis judges the changed request anew, and fails on half a surrogate
    return case


def _good_body(label: str, rows: Rows) -> dict[str, Any]:
    """What an integrator would send; the generated body then spoils at most one field of it."""
    told = {name: ids[0] for name, ids in rows.ours.items() if ids}
    order: dict[str, Any] = {"devices": [told["devices"]], "plan": told["plans"]}
    by_filter = {"filter": {"state": "EXPIRED"}, "plan": told["plans"], "continue_without_refused": True}
    rule = {"paid_mode": True, "trial_start_seconds": 60, "trial_end_seconds": 3_600, "auto_subscribe": False}
    rule |= {"auto_plan": None, "renewal_before_trial_end": True, "lock_action": LOCK, "unlock_action": UNLOCK}
    rule |= {"cache_seconds": 600, "heartbeat_seconds": None}
    plan = {"enterprise": told["enterprises"], "product": told["products"], "name": "Annual", "amount": 19_900}
    return {
        "POST /api/v1/orders": order,
        "POST /api/v1/orders/preview": by_filter,
        "POST /api/v1/orders/{id}/refunds": {"amount": 1, "effect": "KEEP", "reason": "returned"},
        "POST /api/v1/orders/{id}/fapiao": BUYER,
        "POST /api/v1/payment-exceptions/{id}/resolve": {"resolution": "REFUND", "reason": "paid twice"},
        "POST /api/v1/webhooks": {"enterprise": told["enterprises"], "name": "ERP", "url": "https://93.184.216.34/amp"}
        | {"types": ["order.paid"], "includes_descendants": False},
        "PATCH /api/v1/webhooks/{id}": {"name": "Shop"},
        "POST /api/v1/webhooks/{id}/secret": {"overlap_hours": "24"},
        "POST /api/v1/webhooks/{id}/redeliver": {"since": "2026-01-01T00:00:00Z"},
        "POST /api/v1/device-services/{id}/renew": {"plan": told["plans"]},
        "POST /api/v1/plans": {**plan, "currency": "CNY", "months": 12},
        "POST /api/v1/plans/{id}/versions": {"amount": 17_900},
        "PATCH /api/v1/plans/{id}": {"amount": 17_900},
        "PUT /api/v1/devices/{id}/validities/{kind}": {"ends_at": END},
        "PUT /api/v1/products/{id}/rule": rule,
        "POST /api/v1/products/{id}/rule/preview": rule,
        "POST /api/v1/products/{id}/tsl": STANDARD_TSL,
    }.get(label, {})


def _bent(name: str, value: Any, rows: Rows, draw: Draw) -> Any:
    if name == "devices" and isinstance(value, list):
        return [_bent("device", one, rows, draw) for one in value]
    if name not in OF_FIELD or not isinstance(value, int):
        return value
    known = _known(OF_FIELD[name], rows, draw)
    return value if known is None else known


def _known(table: str, rows: Rows, draw: Draw) -> int | None:
    chosen = draw(WHOSE)
    known = {"ours": rows.ours, "theirs": rows.theirs}.get(chosen, {}).get(table)
    return draw(st.sampled_from(known)) if known else None
