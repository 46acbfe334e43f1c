"""Which events become messages, what these tell, and how they are signed (F88, F89; house pattern 8)."""

from __future__ import annotations

import base64
import hmac
import time
from datetime import timedelta

import pytest

from alerts.channels.webhooks import Answer
from alerts.models import (
    WaitingEvent,
    Webhook,
    WebhookDelivery,
    WebhookWhy,
)
from alerts.services.webhook_endpoints import (
    add_webhook,
    disable_webhook,
    edit_webhook,
    rotate_secret,
)
from alerts.services.webhook_retries import DeliveryRefused, redeliver
from alerts.services.webhook_sending import Sender
from alerts.webhooks.public import TABLE
from amp.foundation.models import Enterprise, Event
from amp.foundation.services.events import message_id
from tests.factories import NOW, make_device, make_enterprise, make_product
from tests.services.receivers import (
    Got,
    happen,
    hook,
    in_system_scope,
    maker,
    receiver,
    send,
    spread,
    standing,
)

__all__ = ["in_system_scope", "maker"]
pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ANN = "ann@example.com"


def verified(got: Got, secret: str) -> bool:
    """A verifier of our own making, after the text of the specification and not after the product's code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([got.id.encode(), got.headers["webhook-timestamp"].encode(), got.body])
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return wanted in got.headers["webhook-signature"].split(" ")


def test_an_event_arrives_once_signed_with_its_stable_id_and_public_facts_alone(maker: Enterprise) -> None:
    device = make_device(make_product(maker), key="AS-1", name="Mrs Li's boiler").device
    with receiver() as erp:
        _webhook, secret = add_webhook(
            enterprise=maker, name="ERP", url=erp.url, actor=ANN, now=NOW, waits=time.monotonic()
        )
        happen(
            maker,
            kind="device_service.renewed",
            subject=f"device:{device.pk}",
            actor="mrs.li@example.com",
            why="Mrs Li called",
            before={"state": "EXPIRED", "ends_at": None},
            after={"state": "ACTIVE", "ends_at": "2027-03-01T20:00:00+08:00", "generation": 4, "note": "private"},
        )
        spread()
        send()
        send(NOW + HOUR)
    (got,) = erp.got
    assert got.id == message_id(Event.objects.get(kind="device_service.renewed").public_id)
    assert (got.path, got.headers["content-type"], got.headers["host"]) == (
        "/hook",
        "application/json",
        f"127.0.0.1:{erp.port}",
    )
    assert got.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert verified(got, secret)
    assert not verified(got._replace(body=got.body.replace(b"ACTIVE", b"actives")), secret)
    assert got.told == {
        "type": "device_service.renewed",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "device": {"id": device.pk, "key": "AS-1", "product_key": device.product.key},
            "enterprise": maker.pk,
            "state": "ACTIVE",
            "previous_state": "EXPIRED",
            "ends_at": "2027-03-01T12:00:00Z",
        },
    }


def test_kinds_without_a_public_type_and_events_of_before_are_never_sent(maker: Enterprise) -> None:
    with receiver() as erp:
        happen(maker)
        spread()
        webhook = hook(maker, erp.url, now=NOW + MINUTE)
        happen(maker)  # noticed before the endpoint was there
        for kind in ("order.created", "user.password_chosen", "webhook.test", "device.registered", "command.created"):
            happen(maker, kind=kind, now=NOW + HOUR)
        spread()
        assert standing(webhook) == []
        assert not WaitingEvent.objects.exists()


def test_no_public_kind_is_among_those_that_leave_no_row_in_the_outbox() -> None:
    """The trigger skips what is born in bulk and has no public type."""
    assert [kind for kind in TABLE if kind.startswith(("device.", "command."))] == []


def test_the_outbox_stays_empty_while_nobody_listens(maker: Enterprise) -> None:
    happen(maker, 3)
    assert not WaitingEvent.objects.exists()
    webhook = hook(maker, "https://erp.example/", now=NOW)
    happen(maker, 3)
    disable_webhook(webhook=webhook, why=WebhookWhy.BY_STAFF, actor=ANN, now=NOW)
    assert WaitingEvent.objects.filter(event__kind="order.paid").count() == 3
    happen(maker, 3)
    assert WaitingEvent.objects.filter(event__kind="order.paid").count() == 3


def test_an_event_becomes_one_delivery_per_endpoint_that_chose_it_E1(maker: Enterprise) -> None:
    below, beside = make_enterprise("Below", parent=maker), make_enterprise("Beside")
    hooks = {
        "all": hook(maker, "https://a.example/"),
        "own": hook(maker, "https://b.example/", includes_descendants=False),
        "chosen": hook(maker, "https://c.example/", types=["order.expired"]),
        "below": hook(below, "https://d.example/"),
        "stranger": hook(beside, "https://e.example/"),
    }
    happen(below)
    happen(maker)
    happen(maker, kind="order.expired")
    spread()
    spread()
    assert {name: len(standing(each)) for name, each in hooks.items()} == {
        "all": 3,
        "own": 2,
        "chosen": 1,
        "below": 1,
        "stranger": 0,
    }


def test_f89_what_left_the_reach_of_an_endpoint_is_withheld_at_sending(maker: Enterprise) -> None:
    below = make_enterprise("Below", parent=maker)
    with receiver() as erp:
        webhook = hook(maker, erp.url)
        happen(below)
        spread()
        edit_webhook(webhook=webhook, actor=ANN, now=NOW, waits=time.monotonic(), includes_descendants=False)
        send()
        assert (erp.got, standing(webhook)[0][0]) == ([], "WITHHELD")
        with pytest.raises(DeliveryRefused):
            redeliver(delivery=WebhookDelivery.objects.get(), actor=ANN, now=NOW)


def test_both_secrets_sign_during_a_rotation_and_one_after_it(maker: Enterprise) -> None:
    with receiver() as erp:
        webhook, old = add_webhook(
            enterprise=maker, name="ERP", url=erp.url, actor=ANN, now=NOW, waits=time.monotonic()
        )
        _webhook, new = rotate_secret(webhook=webhook, overlap=24 * HOUR, actor=ANN, now=NOW, wall=NOW)
        for at in (NOW + HOUR, NOW + 25 * HOUR):
            happen(maker, now=at)
            spread(at)
            send(at)
        assert [(verified(got, old), verified(got, new)) for got in erp.got] == [(True, True), (False, True)]
        _webhook, newest = rotate_secret(webhook=webhook, overlap=0 * HOUR, actor=ANN, now=NOW, wall=NOW)
        happen(maker)
        spread()
        send()
        assert (verified(erp.got[-1], new), verified(erp.got[-1], newest)) == (False, True)
    stored = Webhook.objects.get(pk=webhook.pk)
    told = str(list(Event.objects.values_list("before", "after")))
    assert all(text not in stored.secret + stored.old_secret + told for text in (old, new, newest))


def test_a_secret_that_cannot_be_opened_is_told_and_loses_nothing(maker: Enterprise) -> None:
    webhook, twin = hook(maker, "https://a.example/"), hook(maker, "https://b.example/")
    Webhook.objects.filter(pk=webhook.pk).update(secret=twin.secret)  # copied between rows
    happen(maker)
    spread()
    send(NOW, Sender(lambda *_args, **_kwargs: Answer(200, "", 1, "")))
    delivery = WebhookDelivery.objects.get(webhook=webhook)
    assert (delivery.status, delivery.problem) == ("PENDING", "the secret could not be opened: rotate it")
    assert standing(twin)[0][0] == "DELIVERED"
