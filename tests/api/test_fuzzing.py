"""Requests that nobody thought of: every operation of the committed description, asked well and badly.

No answer is a failure of ours, each is one that the description promises, and another tenant's rows stay as they were
(R6, F72, F82, F93). `AMP_FUZZ_REQUESTS` says how many requests to make in all; `make prove` makes more of them.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from django.apps import apps
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from hypothesis import settings as settings_of
from schemathesis import GenerationMode

from alerts.models import Webhook
from amp.foundation import clock
from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from amp.management.commands.schema import WHERE
from billing.fapiao import Buyer
from billing.models import OrderChannel
from billing.services.fapiao import request_fapiao
from billing.services.ordering import cancel_order, open_order
from devices.models import CommandKind, DeviceService
from devices.services.commands import CommandOrder, order_commands
from tests.api.calling import Tenant, make_tenant
from tests.api.furniture import add_webhooks, make_notices, order_paid
from tests.api.fuzzing import ALIKE, BUYER, Fuzzer
from tests.factories import make_device, make_plan

REQUESTS = int(os.environ.get("AMP_FUZZ_REQUESTS", "1300"))
"""In all, both modes and all operations together."""
PARTS = 6
"""Tests that share the operations out among themselves, so that they run side by side."""
pytestmark = pytest.mark.timeout(300 + REQUESTS // 5)


@pytest.fixture
def fuzzer(transactional_db: None, settings: Any) -> Fuzzer:
    """Two tenants with something of everything; the first one's key asks."""
    settings.API_REQUESTS_PER_MINUTE = 10**9
    cache.clear()
    ours, other = make_tenant("ours"), make_tenant("other")
    for tenant in (ours, other):
        furnish(tenant)
    schema = schemathesis.openapi.from_path(WHERE)
    schema.app = get_wsgi_application()
    return Fuzzer(ours, other, schema)


def furnish(tenant: Tenant) -> None:
    """Devices of which some may be renewed, a command, a notice, a draft of a plan, webhooks with deliveries; orders:
    one waits, one is over, one was paid twice, one by a wrong amount, four as they should, one with a fapiao."""
    now = clock.now()
    with system_scope():
        make_plan(tenant.product, name="Draft", published=False)
        devices = [make_device(tenant.product).device for _ in range(4)]
        DeviceService.objects.filter(pk__in=[device.pk for device in devices[:3]]).update(state="EXPIRED")
        _waiting, over = (
            open_order(
                device_ids=[device.pk],
                plan=tenant.plan,
                channel=OrderChannel.API,
                created_by="test",
                once_key=None,
                now=now,
            )
            for device in devices[:2]
        )
        cancel_order(order=over, actor="test", now=now)
        order_paid(tenant, devices[1].pk, "A", "B")
        order_paid(tenant, devices[2].pk, "C", missing=1)
        for transaction in "DEFG":  # each can be paid back once, and gets a fapiao once
            paid = order_paid(tenant, devices[0].pk, transaction)
        request_fapiao(order=paid, buyer=Buyer(**BUYER), actor="test", now=now)
        make_notices([devices[3].pk])
        add_webhooks(tenant, 8)
        Webhook.objects.filter(enterprise=tenant.enterprise).update(state="ENABLED", state_why="")
        DeviceService.objects.filter(pk=devices[3].pk).update(generation=1)
        order_commands(
            [CommandOrder(devices[3].pk, tenant.enterprise.pk, tenant.product.pk, CommandKind.LOCK, 1)], now=now
        )


def held(enterprise: Enterprise) -> dict[str, list[Any]]:
    """Every row of the enterprise, of every table that belongs to tenants."""
    with system_scope():
        return {
            model._meta.label: list(model.objects.filter(enterprise=enterprise).order_by("pk").values())
            for model in apps.get_models()
            if any(field.name == "enterprise" for field in model._meta.fields)
        }


@pytest.mark.parametrize("part", range(PARTS))
def test_generated_requests_find_no_failure_and_no_way_to_another_tenant_R6_F82(fuzzer: Fuzzer, part: int) -> None:
    before = held(fuzzer.theirs.enterprise)
    share = max(1, round(REQUESTS / (2 * len(fuzzer.operations))))
    operations = fuzzer.operations[part::PARTS]
    for operation in operations:
        for mode in GenerationMode:
            fuzzer.sends(operation, mode, share)
    assert held(fuzzer.theirs.enterprise) == before
    # What only ever refuses was not tried: each operation did its work at least once.
    assert {operation.label for operation in operations} - fuzzer.served == set()
    assert fuzzer.statuses.total() >= 0.9 * 2 * share * len(operations)
    assert {400, 401, 404, 422} <= fuzzer.statuses.keys()


def test_sequences_of_requests_find_no_failure_either_R6(fuzzer: Fuzzer) -> None:
    before = held(fuzzer.theirs.enterprise)
    fuzzer.machine().run(settings=settings_of(ALIKE, max_examples=max(5, REQUESTS // 100), stateful_step_count=6))
    assert held(fuzzer.theirs.enterprise) == before
    assert fuzzer.statuses.total() >= 20
    assert fuzzer.statuses[200] > 0


def test_another_tenants_rows_would_be_seen_to_change_R6(fuzzer: Fuzzer) -> None:
    """Negative control: what the tests above compare holds each row that a request could have changed."""
    before = held(fuzzer.theirs.enterprise)
    assert {name for name, rows in before.items() if rows} >= {"catalog.Product", "catalog.Plan", "devices.Device"}
    path = f"/products/{fuzzer.theirs.product.pk}"
    assert fuzzer.theirs.api.patch(path, {"name": "Changed"}, If_Match="*").status_code == 200
    assert held(fuzzer.theirs.enterprise) != before
