"""Events go to integrators at least once, in spite of their receivers (F15, F88; house pattern 3)."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from alerts.channels.webhooks import Answer
from alerts.models import (
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookWhy,
)
from alerts.services.webhook_endpoints import disable_webhook
from alerts.services.webhook_outcomes import store_answer
from alerts.services.webhook_sending import LEASE, Sender, claim, oldest_due
from amp.foundation.models import Enterprise
from tests.factories import NOW, make_enterprise
from tests.services.receivers import (
    answers,
    free_port,
    hangs,
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


def test_queries_of_a_claim_don_t_grow_with_what_waits(maker: Enterprise, django_assert_num_queries: Any) -> None:
    hook(maker, "https://erp.example/")
    for number in (5, 200):
        happen(maker, number)
        with django_assert_num_queries(11):  # the last look, which finds nothing, included
            spread()
    with django_assert_num_queries(7):
        claim(now=NOW, limit=32)


def test_the_oldest_due_delivery_is_known_and_what_is_paused_doesn_t_count_X10(maker: Enterprise) -> None:
    first, second = hook(maker, "https://a.example/"), hook(maker, "https://b.example/")
    happen(maker)
    spread()
    assert oldest_due(NOW - MINUTE) is None
    WebhookDelivery.objects.filter(webhook=second).update(next_attempt_at=NOW - MINUTE)
    assert oldest_due(NOW) == NOW - MINUTE
    Webhook.objects.filter(pk=second.pk).update(paused_until=NOW + MINUTE)
    assert oldest_due(NOW) == NOW
    disable_webhook(webhook=first, why=WebhookWhy.BY_STAFF, actor=ANN, now=NOW)
    assert oldest_due(NOW) is None
