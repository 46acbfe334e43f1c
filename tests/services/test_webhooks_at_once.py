"""The outbox and the leases with real transactions side by side: late commits, two workers, and what would go wrong
without the protection (house pattern 8; F12, F15)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from alerts.channels.webhooks import Answer
from alerts.models import WaitingEvent, WebhookDelivery, WebhookWhy
from alerts.services import webhook_sending
from alerts.services.webhook_endpoints import disable_webhook, lock
from alerts.services.webhook_outbox import spread_events
from alerts.services.webhook_outcomes import store_answer
from alerts.services.webhook_sending import Sender, claim
from amp.foundation.models import Enterprise, Event
from amp.foundation.scoping import system_scope
from tests.factories import NOW, make_enterprise
from tests.services.receivers import happen, hook, in_system_scope, send, spread, standing

__all__ = ["in_system_scope"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def maker() -> Enterprise:
    return make_enterprise("Greenfield", merchant=False)


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    """In a connection of its own."""

    def run() -> None:
        try:
            with system_scope():
                work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class Late:
    """A transaction that records an event now and commits when it is told to."""

    def __init__(self, maker: Enterprise, *, rolls_back: bool = False) -> None:
        self.written, self.may_commit, self.rolls_back = threading.Event(), threading.Event(), rolls_back
        self.thread = in_a_thread(lambda: self._run(maker))
        assert self.written.wait(30)

    def _run(self, maker: Enterprise) -> None:
        with transaction.atomic():
            happen(maker, kind="order.expired")
            self.written.set()
            self.may_commit.wait(30)
            transaction.set_rollback(self.rolls_back)

    def commit(self) -> None:
        """Or roll back, if it is of that kind."""
        self.may_commit.set()
        self.thread.join(30)


def test_an_event_that_commits_after_younger_ones_were_sent_is_delivered_too(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    spread()
    late = Late(maker)
    happen(maker)
    assert spread() == 1
    late.commit()
    oldest, youngest = Event.objects.get(kind="order.expired"), Event.objects.get(kind="order.paid")
    assert oldest.pk < youngest.pk  # who remembers the last id has passed it: the negative control
    assert spread() == 1
    types = WebhookDelivery.objects.filter(webhook=webhook).order_by("pk").values_list("type", flat=True)
    assert list(types) == ["order.paid", "order.expired"]


def test_an_event_that_was_rolled_back_never_was(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    spread()
    Late(maker, rolls_back=True).commit()
    assert (spread(), standing(webhook)) == (0, [])


def test_a_worker_that_is_killed_while_it_spreads_has_done_nothing(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    happen(maker, 3)
    waiting = WaitingEvent.objects.count()
    with transaction.atomic():
        spread_events(now=NOW)
        transaction.set_rollback(True)
    assert (WaitingEvent.objects.count(), standing(webhook)) == (waiting, [])
    spread()
    assert len(standing(webhook)) == 3


def test_f12_two_workers_spread_each_event_once(maker: Enterprise) -> None:
    webhook = hook(maker, "https://erp.example/")
    happen(maker, 400)
    start = threading.Barrier(2)

    def work() -> None:
        start.wait(30)
        while spread_events(now=NOW, limit=25):
            pass

    for thread in [in_a_thread(work) for _ in range(2)]:
        thread.join(60)
    spread()
    assert (len(standing(webhook)), WaitingEvent.objects.count()) == (400, 0)


def sent_by_two() -> Counter[tuple[str, str]]:
    """How often each message was posted by two workers at once, to each endpoint."""
    posted: Counter[tuple[str, str]] = Counter()
    guard = threading.Lock()
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def post(url: str, _body: bytes, headers: dict[str, str], **_more: Any) -> Answer:
        with guard:
            posted[url, headers["webhook-id"]] += 1
            under_way[url] += 1
            most[url] = max(most[url], under_way[url])
        threading.Event().wait(0.01)
        with guard:
            under_way[url] -= 1
        return Answer(200, "", 1, "")

    start = threading.Barrier(2)

    def work() -> None:
        start.wait(30)
        send(NOW, Sender(post))

    for thread in [in_a_thread(work) for _ in range(2)]:
        thread.join(120)
    assert max(most.values()) <= 4, "more under way at one endpoint than it has room for"
    return posted


def test_f12_two_workers_at_once_deliver_each_once_per_lease(maker: Enterprise) -> None:
    webhooks = [hook(maker, f"https://{number}.example/") for number in range(3)]
    happen(maker, 40)
    spread()
    posted = sent_by_two()
    assert (len(posted), set(posted.values())) == (120, {1})
    assert {row[:2] for webhook in webhooks for row in standing(webhook)} == {("DELIVERED", 1)}


def test_without_the_lease_both_would_deliver(maker: Enterprise, monkeypatch: Any) -> None:
    """Negative control: claims that hold nothing."""
    hook(maker, "https://erp.example/")
    happen(maker, 20)
    spread()
    monkeypatch.setattr(webhook_sending, "LEASE", -webhook_sending.LEASE)
    claimed = [row.id for _worker in range(2) for row in webhook_sending.claim(now=NOW, limit=60)]
    assert max(Counter(claimed).values()) > 1


@pytest.mark.parametrize("status", [200, 410, 500])
def test_f23_an_answer_and_somebody_who_disables_never_wait_in_a_ring(maker: Enterprise, status: int) -> None:
    """Both take the endpoint first: who has the delivery already would be waited for by who has the endpoint."""
    webhook = hook(maker, "https://erp.example/")
    happen(maker)
    spread()
    (row,) = claim(now=NOW, limit=1)
    failures: list[Exception] = []

    def store() -> None:
        try:
            store_answer(row, Answer(status, "", 1, ""), now=NOW, spread=0)
        except Exception as failed:  # noqa: BLE001 (whatever it is, the test shows it)
            failures.append(failed)

    with transaction.atomic():
        lock(webhook)
        thread = in_a_thread(store)
        assert somebody_waits()
        disable_webhook(webhook=webhook, why=WebhookWhy.BY_STAFF, actor="ann", now=NOW)
    thread.join(60)
    assert failures == []
    assert standing(webhook)[0][0] == ("DELIVERED" if status == 200 else "DEAD")


def somebody_waits() -> bool:
    """For a lock that we hold."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return True
        threading.Event().wait(0.05)
    return False
