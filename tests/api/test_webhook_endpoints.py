"""Webhooks over the API: set up, rotated, removed, sent again; secrets told once (F73, F87, F88, F99, R7, X2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.models import Webhook, WebhookDelivery
from alerts.services.webhook_endpoints import MOST, live_secrets
from alerts.webhooks.signing import secret_text
from amp.foundation import clock
from amp.foundation.models import Event, IdempotencyRecord
from amp.foundation.scoping import system_scope
from tests.api.calling import Tenant, code, make_tenant, wrong_fields
from tests.services.receivers import answers, happen, receiver, send, spread

URL = "https://93.184.216.34/amp"


def made(tenant: Tenant, **changes: Any) -> Any:
    body = {"enterprise": tenant.enterprise.pk, "name": "ERP", "url": URL, **changes}
    return tenant.api.post("/webhooks", body)


def events(tenant: Tenant) -> list[str]:
    with system_scope():
        rows = Event.objects.filter(enterprise=tenant.enterprise, kind__startswith="webhook.").order_by("pk")
        return list(rows.values_list("kind", flat=True))


def test_a_webhook_is_added_and_its_secret_told_once(ours: Tenant) -> None:
    answer = made(ours, types=["order.paid", "order.fulfilled"])
    told = answer.json()
    secret = told.pop("secret")
    assert (answer.status_code, answer["Location"]) == (201, f"/api/v1/webhooks/{told['id']}")
    assert (told["state"], told["state_why"], told["types"]) == ("ENABLED", "", ["order.paid", "order.fulfilled"])
    assert (told["enterprise"], told["includes_descendants"], told["old_secret_until"]) == (
        ours.enterprise.pk,
        True,
        None,
    )
    assert ours.api.get(f"/webhooks/{told['id']}").json() == told
    assert secret not in ours.api.get("/webhooks").content.decode()
    with system_scope():
        stored = Webhook.objects.get(pk=told["id"])
        assert secret_text(live_secrets(stored, clock.wall())[0]) == secret
        assert secret not in str(list(IdempotencyRecord.objects.values())) + str(list(Event.objects.values()))
    assert events(ours) == ["webhook.added"]


def test_r7_a_webhook_that_is_asked_for_again_is_made_once_with_the_same_secret(ours: Tenant) -> None:
    body = {"enterprise": ours.enterprise.pk, "name": "ERP", "url": URL}
    first, second = (ours.api.post("/webhooks", body, once="one") for _ in range(2))
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert events(ours) == ["webhook.added"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://erp.example/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://10.0.0.1/"),
        *("https://169.254.169.254/latest/meta-data/", "https://2130706433/", "https://0x7f.1/", "https://[fd00::1]/"),
        *("https://a:b@93.184.216.34/", "https://93.184.216.34:22/", "https://[::ffff:10.0.0.1]/", "ftp://x/", "x"),
    ],
)
def test_f87_an_address_inside_is_refused_when_it_is_saved(ours: Tenant, url: str, settings: Any) -> None:
    settings.WEBHOOK_LOOPBACK = False
    refused = made(ours, url=url)
    assert (code(refused), wrong_fields(refused)) == ((422, "webhook_refused"), {"url"})
    kept = made(ours).json()["id"]
    changed = ours.api.patch(f"/webhooks/{kept}", {"url": url}, If_Match="*")
    assert (code(changed), wrong_fields(changed)) == ((422, "webhook_refused"), {"url"})
    assert ours.api.get(f"/webhooks/{kept}").json()["url"] == URL


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("types", value) for value in (["order.created"], "order.paid", [1], None)),
        *(("name", value) for value in ("", "x" * 81, 1, None)),
        *(("includes_descendants", value) for value in ("yes", 1, None)),
        *(("secret", "whsec_x"), ("state", "ENABLED"), ("enterprise", 987_654_321)),
    ],
)
def test_f82_a_wrong_field_is_refused_by_name(ours: Tenant, field: str, value: Any) -> None:
    refused = made(ours, **{field: value})
    assert code(refused) == (400, "invalid_request")
    assert {name.split("[")[0] for name in wrong_fields(refused)} <= {field, f"{field}.0"}


def test_f99_a_change_needs_the_version_that_was_read(ours: Tenant) -> None:
    webhook = made(ours).json()["id"]
    path = f"/webhooks/{webhook}"
    etag = ours.api.get(path)["ETag"]
    changed = ours.api.patch(path, {"name": "Shop", "types": ["order.paid"]}, If_Match=etag)
    assert (changed.status_code, changed.json()["name"], changed.json()["types"]) == (200, "Shop", ["order.paid"])
    assert code(ours.api.patch(path, {"name": "x"}, If_Match=etag)) == (412, "precondition_failed")
    assert code(ours.api.patch(path, {"name": "x"})) == (428, "precondition_required")
    assert code(ours.api.post(f"{path}/disable", If_Match=etag)) == (412, "precondition_failed")
    assert events(ours) == ["webhook.added", "webhook.edited"]


def test_a_webhook_is_rotated_disabled_enabled_and_removed(ours: Tenant) -> None:
    first = made(ours).json()
    path = f"/webhooks/{first['id']}"
    second = ours.api.post(f"{path}/secret", {"overlap_hours": "1"}).json()
    assert second["secret"] != first["secret"]
    assert second["old_secret_until"]
    third = ours.api.post(f"{path}/secret", {"overlap_hours": "0"}).json()
    assert third["old_secret_until"] is None
    assert code(ours.api.post(f"{path}/secret", {"overlap_hours": "9"})) == (400, "invalid_request")
    disabled = ours.api.post(f"{path}/disable").json()
    assert (disabled["state"], disabled["state_why"]) == ("DISABLED", "BY_STAFF")
    assert code(ours.api.post(f"{path}/redeliver")) == (422, "delivery_refused")
    assert ours.api.post(f"{path}/enable").json()["state"] == "ENABLED"
    removed = ours.api._send("delete", path, None, {"If-Match": "*"})
    assert removed.status_code == 204
    assert code(ours.api.get(path)) == (404, "not_found")
    assert ours.api.get("/webhooks").json()["results"] == []
    assert events(ours) == [
        "webhook.added",
        "webhook.secret_rotated",
        "webhook.secret_rotated",
        "webhook.disabled",
        "webhook.enabled",
        "webhook.removed",
    ]


def test_deliveries_are_listed_filtered_and_sent_again_with_the_same_id(ours: Tenant) -> None:
    now = clock.now()
    with receiver(answers(500)) as erp:
        webhook = made(ours, url=erp.url).json()["id"]
        with system_scope():
            happen(ours.enterprise, 2, now=clock.now())
            spread(clock.now())
            WebhookDelivery.objects.filter(webhook=webhook).update(status="DEAD", next_attempt_at=None, ended_at=now)
        listed = ours.api.get(f"/webhook-deliveries?webhook={webhook}&status=DEAD&type=order.paid").json()["results"]
        assert len(listed) == 2
        assert ours.api.get("/webhook-deliveries?status=PENDING").json()["results"] == []
        erp.behave = answers(200)
        again = ours.api.post(f"/webhook-deliveries/{listed[0]['id']}/redeliver")
        assert (again.status_code, again.json()["status"]) == (200, "PENDING")
        with system_scope():
            send(clock.now())
        assert erp.ids == [listed[0]["message_id"]]
        assert ours.api.get(f"/webhook-deliveries/{listed[0]['id']}").json()["response_status"] == 200
        assert ours.api.post(f"/webhooks/{webhook}/redeliver", {"since": now.isoformat()}).json() == {"deliveries": 1}
        assert json.loads(erp.got[0].body)["type"] == "order.paid"


def test_e1_a_stranger_finds_nothing_and_a_parent_what_is_below(ours: Tenant, other: Tenant) -> None:
    below = make_tenant("below", parent=ours.enterprise)
    webhook = made(below).json()["id"]
    assert ours.api.get(f"/webhooks/{webhook}").status_code == 200
    missing = [other.api.get(f"/webhooks/{pk}").json() | {"request_id": ""} for pk in (webhook, 987_654_321)]
    assert missing[0] == missing[1]
    assert code(other.api.post(f"/webhooks/{webhook}/secret")) == (404, "not_found")
    foreign = made(other, enterprise=below.enterprise.pk)
    assert (code(foreign), wrong_fields(foreign)) == ((400, "invalid_request"), {"enterprise"})


def test_x2_reading_and_writing_need_their_scopes(ours: Tenant) -> None:
    webhook = made(ours).json()["id"]
    reader, nobody = ours.keyed("webhooks:read"), ours.keyed("orders:read")
    assert reader.get(f"/webhooks/{webhook}").status_code == 200
    assert code(nobody.get("/webhooks")) == (403, "scope_missing")
    assert code(nobody.get("/webhook-deliveries")) == (403, "scope_missing")
    for path in ("secret", "enable", "disable", "redeliver"):
        assert code(reader.post(f"/webhooks/{webhook}/{path}")) == (403, "scope_missing")


def test_an_enterprise_has_a_bounded_number(ours: Tenant) -> None:
    for _ in range(MOST):
        assert made(ours).status_code == 201
    assert code(made(ours)) == (422, "webhook_refused")
