"""The examples of docs/integrators.md work as they stand, against a running server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from pytest_django.live_server_helper import LiveServer

from alerts.models import Notice, Webhook, WebhookDelivery
from alerts.webhooks.signing import new_secret, secret_text, signed_headers
from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.management.commands.schema import WHERE
from billing.fapiao import Buyer
from billing.models import Order, OrderChannel, PaymentException, Refund
from billing.services.fapiao import request_fapiao
from billing.services.ordering import open_order
from catalog.models import Plan
from devices.models import Command, CommandKind, Device, DeviceService
from devices.services.commands import CommandOrder, order_commands
from tests.api.calling import Tenant, make_tenant
from tests.api.furniture import add_webhooks, make_notices, order_paid
from tests.api.generated import PACKAGE, generated
from tests.factories import STANDARD_TSL, make_device, make_plan

__all__ = ["generated"]
DOCUMENT = WHERE.parent / "integrators.md"
START = """set -euo pipefail
uuidgen() { cat /proc/sys/kernel/random/uuid; }
"""
OF_THE_READER = re.compile(r"^(AMP|KEY)=.*\n", re.MULTILINE)


def blocks(language: str) -> str:
    """All examples in a language, in their order."""
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))


@pytest.fixture
def tenant(live_server: LiveServer) -> Tenant:
    """Somebody with a key, beside the running server."""
    cache.clear()
    return make_tenant("Greenfield")


@pytest.fixture
def ids(tenant: Tenant) -> dict[str, int]:
    """The rows that the examples speak of: a device that may be renewed, another, an order, a command, a draft."""
    now = clock.now()
    with system_scope():
        device, retired, ordered, twice, short, billed = (make_device(tenant.product).device.pk for _ in range(6))
        DeviceService.objects.update(state="EXPIRED", generation=1)
        draft = make_plan(tenant.product, name="Draft", published=False)
        order = open_order(
            device_ids=[ordered], plan=tenant.plan, channel=OrderChannel.API, created_by="x", once_key=None, now=now
        )
        wanted = CommandOrder(device, tenant.enterprise.pk, tenant.product.pk, CommandKind.LOCK, 1)
        order_commands([wanted], now=now)
        make_notices([device])
        paid_twice = order_paid(tenant, twice, "A", "B")
        order_paid(tenant, short, "C", missing=1)
        asked = order_paid(tenant, billed, "D")
        buyer = Buyer("上海暖通科技有限公司", "91310000MA1FL0XX8A", "a@b.cn")
        fapiao = request_fapiao(order=asked, buyer=buyer, actor="x", now=now)
        add_webhooks(tenant, 1)
        Webhook.objects.update(state="ENABLED", state_why="")
        return {
            "ENTERPRISE": tenant.enterprise.pk,
            "PRODUCT": tenant.product.pk,
            "PLAN": tenant.plan.pk,
            "DRAFT": draft.pk,
            "DEVICE": device,
            "RETIRED": retired,
            "ORDER": order.pk,
            "WEBHOOK": Webhook.objects.get().pk,
            "DELIVERY": WebhookDelivery.objects.get().pk,
            "NOTICE": Notice.objects.get().pk,
            "COMMAND": Command.objects.earliest("pk").pk,
            "PAID": paid_twice.pk,
            "FAPIAO": fapiao.pk,
            "REFUND": Refund.objects.get().pk,
            "CASE": PaymentException.objects.get(kind="AMOUNT_MISMATCH").pk,
        }


def shell(script: str, where: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run by bash, which stops at the first command that fails; curl fails with each refusal."""
    settings = {"PATH": os.environ["PATH"], "HOME": str(where)}
    settings |= {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        ["bash", "-c", START + script],
        cwd=where,
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_shell_examples_do_what_they_say(
    tenant: Tenant, ids: dict[str, int], live_server: LiveServer, tmp_path: Path
) -> None:
    (tmp_path / "tsl.json").write_text(json.dumps(STANDARD_TSL))
    where = {"AMP": f"{live_server.url}/api/v1", "KEY": tenant.api.key}
    done = shell(OF_THE_READER.sub("", blocks("sh")), tmp_path, **where, **ids)
    assert done.returncode == 0, (done.stdout[-2_000:], done.stderr)
    with system_scope():
        assert tenant.product.__class__.objects.filter(name="GreenMeter 2").count() == 1  # sent twice, made once
        assert Plan.objects.get(pk=ids["DRAFT"]).status == "WITHDRAWN"
        assert Device.objects.filter(key="AS-4821", serial="GF-2291-4821").count() == 1
        assert Device.objects.get(pk=ids["DEVICE"]).name == "North field"
        assert DeviceService.objects.get(pk=ids["RETIRED"]).state == "TERMINATED"
        assert Order.objects.get(pk=ids["ORDER"]).status == "CANCELLED"
        assert Refund.objects.get(pk=ids["REFUND"]).status == "APPROVED"
        assert PaymentException.objects.get(pk=ids["CASE"]).resolution == "REFUND"
        assert Webhook.objects.get(pk=ids["WEBHOOK"]).removed_at is not None


def test_refused_example_would_be_seen(
    tenant: Tenant, ids: dict[str, int], live_server: LiveServer, tmp_path: Path
) -> None:
    """Negative control: with a wrong key the same script ends at its first request."""
    where = {"AMP": f"{live_server.url}/api/v1", "KEY": "amp_wrong"}
    done = shell(OF_THE_READER.sub("", blocks("sh")), tmp_path, **where, **ids)
    assert done.returncode == 22


def test_shell_examples_speak_of_every_endpoint() -> None:
    """What is added to the API gets an example."""
    paths = json.loads(WHERE.read_text())["paths"]
    shown = re.findall(r'"\$AMP(/[^"?]*)', blocks("sh"))
    told = {re.sub(r"\$[A-Z]+", "{id}", path).replace("/validities/SIM", "/validities/{kind}") for path in shown}
    listed = {path.removeprefix("/api/v1") for path in paths}
    alone = {"/orders/{id}", "/plans/{id}", "/devices/{id}"}
    assert told - listed == set()
    assert listed - told - alone == set()


def test_python_example_renews_what_has_expired(
    generated: Path, tenant: Tenant, ids: dict[str, int], live_server: LiveServer, capsys: Any
) -> None:
    example = blocks("python")
    assert PACKAGE in example
    exec(compile(example, str(DOCUMENT), "exec"), {"BASE_URL": live_server.url, "KEY": tenant.api.key})
    told = capsys.readouterr().out.split()
    assert told[0] == "Greenfield"
    with system_scope():
        assert set(told[1:]) == set(
            Order.objects.exclude(created_by__in=["x", "test"]).values_list("number", flat=True)
        )
    assert len(told) == 5


def test_examples_that_verify_a_webhook_tell_a_genuine_one_from_a_forged_one(tmp_path: Path) -> None:
    """Standard Webhooks, by the reader's own means: the functions of the guide, given what a receiver got."""
    secret, body = new_secret(), '{"type":"order.paid","data":{"name":"锁"}}'.encode()
    headers = signed_headers("evt_1", clock.wall(), body, [new_secret(), secret])
    told = re.search(r"```python\n(import base64.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert told
    names: dict[str, Any] = {}
    exec(compile(told[1], str(DOCUMENT), "exec"), names)
    assert names["is_genuine"](secret_text(secret), headers, body)
    assert not names["is_genuine"](secret_text(secret), headers, body + b" ")
    assert not names["is_genuine"](secret_text(new_secret()), headers, body)
    old = signed_headers("evt_1", clock.wall() - timedelta(minutes=6), body, [secret])
    assert not names["is_genuine"](secret_text(secret), old, body)
    for content, said in ((body, "genuine"), (body + b" ", "forged")):
        (tmp_path / "body").write_bytes(content)
        settings = {f"WEBHOOK_{name.removeprefix('webhook-').upper()}": value for name, value in headers.items()}
        done = shell(blocks("bash"), tmp_path, SECRET=secret_text(secret), BODY=tmp_path / "body", **settings)
        assert done.stdout.strip() == said, done.stderr
