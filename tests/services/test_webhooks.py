"""Events go to integrators: signed, at least once, in spite of their receivers (F88, F89; house patterns 3 and 8)."""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail

from alerts.channels.webhooks import Answer
from alerts.models import (
    WaitingEvent,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookWhy,
)
from alerts.services.webhook_endpoints import (
    add_webhook,
    disable_webhook,
    edit_webhook,
    enable_webhook,
    remove_webhook,
    rotate_secret,
)
from alerts.services.webhook_notices import tell_disabled
from alerts.services.webhook_outcomes import store_answer
from alerts.services.webhook_retries import DeliveryRefused, dead_deliveries, redeliver, redeliver_failed, send_test
from alerts.services.webhook_sending import LEASE, Sender, claim, message_id
from alerts.webhooks.public import TABLE
from amp.foundation.models import Enterprise, Event, Role
from amp.foundation.scoping import system_scope
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product
from tests.services.receivers import (
    Got,
    answers,
    free_port,
    hangs,
    happen,
    hook,
    receiver,
    send,
    spread,
    standing,
)

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ANN = "ann@example.com"


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def maker() -> Enterprise:
    return make_enterprise("Greenfield")


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


def test_f88_a_receiver_that_fails_for_71_hours_gets_every_event(maker: Enterprise) -> None:
    with receiver(answers(500)) as erp:
        webhook = hook(maker, erp.url)
        now, step = NOW, HOUR
        while now < NOW + 71 * HOUR:
            if (now - NOW) % (6 * HOUR) == timedelta(0):
                happen(maker, now=now)
                spread(now)
            send(now)
            now += step
        assert {status for status, *_rest in standing(webhook)} == {"PENDING"}
        erp.behave = answers(200)
        failed, erp.got = erp.got, []
        while now <= NOW + 72 * HOUR:
            send(now)
            now += 5 * MINUTE
        assert {row[0] for row in standing(webhook)} == {"DELIVERED"}
        assert sorted(erp.ids) == sorted({got.id for got in failed})
        assert len(erp.ids) == 12
    webhook.refresh_from_db()
    assert (webhook.state, webhook.failing_since) == ("ENABLED", None)


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


@pytest.mark.parametrize("status", [199 + 101, 301, 302, 307, 308, 400, 404, 429, 500, 503])
def test_everything_but_2xx_fails_and_no_redirect_is_followed(maker: Enterprise, status: int) -> None:
    with receiver() as elsewhere, receiver(answers(status, Location=elsewhere.url)) as erp:
        webhook = hook(maker, erp.url)
        happen(maker)
        spread()
        send()
        assert (len(erp.got), elsewhere.connections) == (1, 0)
        assert standing(webhook) == [("PENDING", 1, status)]


def test_an_endpoint_has_a_few_requests_under_way_and_one_while_it_fails(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    happen(maker, 9)
    spread()
    first, again = claim(now=NOW, limit=32), claim(now=NOW, limit=32)
    assert (len(first), again) == (4, [])
    store_answer(first[0], Answer(500, "", 5, ""), now=NOW, spread=0)
    for row in first[1:]:
        store_answer(row, Answer(500, "", 5, ""), now=NOW, spread=0)
    assert len(claim(now=NOW, limit=32)) == 1
    assert WebhookAttempt.objects.filter(delivery__webhook=webhook).count() == 4


def test_an_endpoint_that_is_away_is_left_alone_for_longer_and_longer(maker: Enterprise) -> None:
    webhook = hook(maker, f"http://127.0.0.1:{free_port()}/")
    happen(maker, 3)
    spread()
    attempts, now = [], NOW
    while now < NOW + 10 * MINUTE:
        before = WebhookAttempt.objects.count()
        send(now)
        attempts += [now] * (WebhookAttempt.objects.count() - before)
        now += timedelta(seconds=5)
    assert len(attempts) <= 9
    webhook.refresh_from_db()
    assert webhook.failing_since == NOW


def test_f15_the_attempt_is_counted_before_it_and_a_killed_worker_sends_again_with_the_same_id(
    maker: Enterprise,
) -> None:
    """Killed between sending and storing: the receiver has it, nobody knows."""
    with receiver() as erp:
        webhook = hook(maker, erp.url)
        happen(maker)
        spread()
        killed = Sender()
        killed._store = lambda *_args: None  # type: ignore[method-assign]
        killed.turn(now=NOW, wall=NOW)
        deadline = time.monotonic() + 10
        while not erp.got and time.monotonic() < deadline:
            time.sleep(0.01)
        assert standing(webhook) == [("PENDING", 1, None)]
        send(NOW + LEASE / 2)
        assert len(erp.got) == 1  # leased
        send(NOW + LEASE)
        assert len(erp.got) == 2
        assert len(set(erp.ids)) == 1
        assert standing(webhook) == [("DELIVERED", 2, 200)]


def test_a_claim_that_was_lost_changes_nothing_but_the_log(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    happen(maker)
    spread()
    (late,) = claim(now=NOW, limit=1)
    (row,) = claim(now=NOW + LEASE, limit=1)
    store_answer(late, Answer(500, "", 5, ""), now=NOW + LEASE, spread=0)
    delivery = WebhookDelivery.objects.get(webhook=webhook)
    assert (delivery.attempts, delivery.leased_until) == (2, NOW + 2 * LEASE)
    store_answer(row, Answer(204, "", 5, ""), now=NOW + LEASE, spread=0)
    store_answer(late, Answer(500, "", 5, ""), now=NOW + LEASE, spread=0)
    assert standing(webhook) == [("DELIVERED", 2, 204)]


def test_one_receiver_that_hangs_delays_nobody_else(maker: Enterprise, monkeypatch: Any) -> None:
    """By order, not by the clock: everybody else has everything before the first who hangs is let go."""
    released = threading.Event()
    with receiver(hangs(released)) as slow, receiver() as erp:
        hanging, healthy = hook(maker, slow.url), hook(make_enterprise("Beside"), erp.url)
        happen(maker, 20)
        happen(healthy.enterprise, 20)
        spread()
        sender = Sender()
        deadline = time.monotonic() + 9
        while len(erp.got) < 20 and time.monotonic() < deadline:
            sender.turn(now=NOW, wall=NOW)
        assert len(erp.got) == 20
        assert len(slow.got) == 4
        assert {row[0] for row in standing(hanging)} == {"PENDING"}
        released.set()
        sender.finish(lambda: NOW)


def test_more_endpoints_that_hang_than_places_give_their_places_back(maker: Enterprise) -> None:
    """Each is paused after its first silence, so the places that they take become few."""
    away = lambda *_args, **_kwargs: Answer(None, "", 10_000, "no answer in time: 10 s")  # noqa: E731
    for number in range(12):
        hook(maker, f"https://{number}.example/")
    happen(maker, 10)
    spread()
    send(NOW, Sender(away))
    assert WebhookAttempt.objects.count() <= 12 * 4
    assert not claim(now=NOW, limit=32)
    healthy = hook(make_enterprise("Beside"), "https://b.example/")
    happen(healthy.enterprise)
    spread()
    assert [row.webhook_id for row in claim(now=NOW, limit=32)] == [healthy.pk]


def test_who_was_served_longest_ago_comes_first(maker: Enterprise) -> None:
    first, second = hook(maker, "https://a.example/"), hook(make_enterprise("Beside"), "https://b.example/")
    happen(maker, 9)
    happen(second.enterprise, 9)
    spread()
    order = [claim(now=NOW + number * LEASE, limit=1)[0].webhook_id for number in range(4)]
    assert order == [first.pk, second.pk, first.pk, second.pk]


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


def test_a_secret_that_cannot_be_opened_is_told_and_loses_nothing(maker: Enterprise) -> None:
    webhook, twin = hook(maker, "https://a.example/"), hook(maker, "https://b.example/")
    Webhook.objects.filter(pk=webhook.pk).update(secret=twin.secret)  # copied between rows
    happen(maker)
    spread()
    send(NOW, Sender(lambda *_args, **_kwargs: Answer(200, "", 1, "")))
    delivery = WebhookDelivery.objects.get(webhook=webhook)
    assert (delivery.status, delivery.problem) == ("PENDING", "the secret could not be opened: rotate it")
    assert standing(twin)[0][0] == "DELIVERED"


def test_queries_of_a_claim_don_t_grow_with_what_waits(maker: Enterprise, django_assert_num_queries: Any) -> None:
    hook(maker, "https://erp.example/")
    for number in (5, 200):
        happen(maker, number)
        with django_assert_num_queries(11):  # the last look, which finds nothing, included
            spread()
    with django_assert_num_queries(8):
        claim(now=NOW, limit=32)
