"""Endpoints that are given up, tested, sent to again and removed (F88)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.core import mail

from alerts.models import (
    Webhook,
    WebhookDelivery,
    WebhookWhy,
)
from alerts.services.webhook_endpoints import (
    disable_webhook,
    edit_webhook,
    enable_webhook,
    remove_webhook,
)
from alerts.services.webhook_notices import tell_disabled
from alerts.services.webhook_retries import DeliveryRefused, dead_deliveries, redeliver, redeliver_failed, send_test
from alerts.services.webhook_sending import claim
from amp.foundation.models import Enterprise, Event, Role
from tests.factories import NOW, make_member
from tests.services.receivers import (
    answers,
    free_port,
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


def test_f88_after_72_hours_deliveries_are_dead_the_endpoint_is_disabled_and_staff_are_told(maker: Enterprise) -> None:
    reader = make_member(maker, email="boss@example.com")
    make_member(maker, Role.FINANCE, email="money@example.com")
    webhook = hook(maker, f"http://127.0.0.1:{free_port()}/")
    happen(maker)
    spread()
    now = NOW
    while now <= NOW + 74 * HOUR:
        send(now)
        now += HOUR
    webhook.refresh_from_db()
    assert (webhook.state, webhook.state_why) == ("DISABLED", "FAILED")
    assert webhook.state_since >= NOW + 72 * HOUR
    assert standing(webhook)[0][0] == "DEAD"
    assert Event.objects.filter(kind="webhook.disabled", enterprise=maker, actor="system").count() == 1
    assert [tell_disabled(now=now), tell_disabled(now=now)] == [1, 0]
    assert [message.to for message in mail.outbox] == [[reader.email]]
    assert "ERP" in mail.outbox[0].subject
    assert f"/admin/alerts/webhook/{webhook.pk}/change/" in mail.outbox[0].body
    with receiver() as erp:
        edit_webhook(webhook=webhook, actor=ANN, now=now, waits=time.monotonic(), url=erp.url)
        enable_webhook(webhook=webhook, actor=ANN, now=now)
        assert redeliver_failed(webhook=webhook, since=NOW, actor=ANN, now=now) == 1
        send(now)
        assert len(erp.got) == 1
    assert standing(webhook) == [("DELIVERED", 1, 200)]


def test_410_disables_the_endpoint_at_once(maker: Enterprise) -> None:
    with receiver(answers(410)) as erp:
        webhook = hook(maker, erp.url)
        happen(maker, 2)
        spread()
        send()
    webhook.refresh_from_db()
    assert (webhook.state, webhook.state_why, webhook.tell_at) == ("DISABLED", "GONE", NOW)
    assert {row[0] for row in standing(webhook)} == {"DEAD"}


def test_a_test_is_sent_at_once_shows_the_answer_and_is_not_repeated(maker: Enterprise) -> None:
    with receiver(answers(200, b"thanks <b>\x00\xff")) as erp:
        webhook = hook(maker, erp.url, types=["order.paid"])
        sent = send_test(webhook=webhook, actor=ANN, now=NOW, wall=NOW)
        assert (sent.status, sent.response_status, sent.response_excerpt) == ("DELIVERED", 200, "thanks <b> \ufffd")
        assert erp.got[0].told == {
            "type": "webhook.test",
            "timestamp": "2026-03-01T12:00:00Z",
            "data": {"webhook": {"id": webhook.pk}, "enterprise": maker.pk},
        }
        erp.behave = answers(500)
        failed = send_test(webhook=webhook, actor=ANN, now=NOW, wall=NOW)
        assert (failed.status, failed.response_status) == ("DEAD", 500)
        spread()
        send(NOW + HOUR)
        assert len(erp.got) == 2
        assert not dead_deliveries().exists()
        with pytest.raises(DeliveryRefused):
            redeliver(delivery=failed, actor=ANN, now=NOW)
    webhook.refresh_from_db()
    assert (webhook.state, webhook.failing_since) == ("ENABLED", None)


def test_what_was_given_up_is_sent_again_and_a_disabled_endpoint_says_so(maker: Enterprise) -> None:
    with receiver() as erp:
        webhook = hook(maker, erp.url)
        happen(maker, 2)
        spread()
        WebhookDelivery.objects.update(status="DEAD", next_attempt_at=None, ended_at=NOW, attempts=80)
        assert dead_deliveries().count() == 2
        one = WebhookDelivery.objects.earliest("pk")
        redeliver(delivery=one, actor=ANN, now=NOW)
        send()
        redeliver(delivery=one, actor=ANN, now=NOW)
        send()
        assert [erp.ids[0]] * 2 == erp.ids
        assert redeliver_failed(webhook=webhook, since=NOW + MINUTE, actor=ANN, now=NOW) == 0
        disable_webhook(webhook=webhook, why=WebhookWhy.BY_STAFF, actor=ANN, now=NOW)
        with pytest.raises(DeliveryRefused):
            redeliver(delivery=one, actor=ANN, now=NOW)
        assert not dead_deliveries().exists()  # they wait for the endpoint, not for operations


def test_a_removed_endpoint_keeps_its_log_and_no_secret(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    happen(maker)
    spread()
    remove_webhook(webhook=webhook, actor=ANN, now=NOW)
    stored = Webhook.objects.get(pk=webhook.pk)
    assert (stored.secret, stored.old_secret, standing(webhook)[0][0]) == ("", "", "DEAD")
    happen(maker)
    spread()
    assert len(standing(webhook)) == 1
    assert claim(now=NOW, limit=9) == []
