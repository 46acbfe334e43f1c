"""Deliveries go out: claimed fairly, sent side by side, stored one by one (F88).

The database is spoken to by the caller's thread alone; threads beside it only wait for receivers. An endpoint has a few
requests under way at most, one while it fails, and none while it is paused: a receiver that hangs takes its own places
for 10 s, then gives them back for longer and longer, and nobody else waits for it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Case, Count, Exists, F, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from alerts.channels import webhooks as channel
from alerts.channels.webhooks import Answer
from alerts.models import DeliveryStatus, Webhook, WebhookDelivery, WebhookState
from alerts.services.webhook_endpoints import live_secrets, policy
from alerts.services.webhook_outcomes import Claimed, store_answer, withhold
from alerts.services.webhook_payloads import bodies
from alerts.webhooks.retrying import ROOM
from alerts.webhooks.signing import signed_headers
from amp.foundation.sealed import SealBroken
from amp.foundation.services.events import message_id

log = logging.getLogger(__name__)

PLACES = 32
"""Requests of one process at the same time, to all endpoints together."""
ENDPOINTS = 16
"""Endpoints that one claim looks at."""
LEASE = timedelta(seconds=60)
"""A request lasts 10 s at most; what a killed process had is claimed anew after this."""
LOOK_SECONDS = 0.1
_chance = random.SystemRandom()

Post = Callable[..., Answer]


class Message(NamedTuple):
    """A request, ready to go."""

    url: str
    body: bytes
    headers: dict[str, str]


class Sender:
    """One run of a worker: `turn` after `turn` it claims, sends and stores until nothing is due or under way."""

    def __init__(self, post: Post | None = None) -> None:
        self._post: Post = post or channel.post
        self._threads = ThreadPoolExecutor(PLACES, thread_name_prefix="webhook")
        self._under_way: dict[Future[Answer], Claimed] = {}

    def turn(self, *, now: datetime, wall: datetime) -> int:
        """Fill free places, wait a moment for answers, store them; how many were claimed, 1 while any is under way.

        `now` dates what is stored; `wall` is real time, which receivers compare signatures with.
        """
        claimed = claim(now=now, limit=PLACES - len(self._under_way))
        for row, message in messages(claimed, now=now, wall=wall):
            self._under_way[
                self._threads.submit(self._post, message.url, message.body, message.headers, policy=policy())
            ] = row
        self._store(now, LOOK_SECONDS)
        return len(claimed) or int(bool(self._under_way))

    def finish(self, clock: Callable[[], datetime]) -> None:
        """Wait for what is still under way, at most as long as a request lasts, and store it."""
        while self._under_way:
            self._store(clock(), channel.DEADLINE_SECONDS)
        self._threads.shutdown(wait=False)

    def _store(self, now: datetime, seconds: float) -> None:
        done, _waiting = wait(self._under_way, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            row = self._under_way.pop(future)
            store_answer(row, _answer(future), now=now, spread=_chance.random())


def claim(*, now: datetime, limit: int) -> list[Claimed]:
    """Lease due deliveries, of endpoints served longest ago first; their counters are raised before the work (F15)."""
    if limit <= 0:
        return []
    with transaction.atomic():
        webhooks = list(_due_webhooks(now)[:ENDPOINTS])
        if not webhooks:
            return []
        rows = _taken(webhooks, now, limit)
        served = {row.webhook_id for row in rows}
        Webhook.objects.filter(pk__in=served).update(served_at=now)
        return rows


def messages(claimed: list[Claimed], *, now: datetime, wall: datetime) -> list[tuple[Claimed, Message]]:
    """What is sent of those; what the endpoint may not see any more is withheld instead (F89)."""
    if not claimed:
        return []
    rows = WebhookDelivery.objects.filter(pk__in=[row.id for row in claimed]).select_related("event", "webhook")
    deliveries = {delivery.pk: delivery for delivery in rows}
    made, found = bodies(list(deliveries.values())), []
    for row in claimed:
        body, delivery = made[row.id], deliveries[row.id]
        row = row._replace(message_id=message_id(delivery.event.public_id))
        if body is None:
            withhold(row, now=now)
            continue
        message = _message(delivery, body, wall)
        if isinstance(message, Message):
            found.append((row, message))
        else:
            store_answer(row, message, now=now, spread=_chance.random())
    return found


def oldest_due(now: datetime) -> datetime | None:
    """Since when the oldest delivery is due, of endpoints that are enabled and not paused."""
    due = WebhookDelivery.objects.filter(_is_due(now), webhook=OuterRef("pk")).order_by("next_attempt_at")
    rows = _reachable(now).annotate(first=Subquery(due.values("next_attempt_at")[:1]))
    first: datetime | None = rows.aggregate(oldest=Min("first"))["oldest"]
    return first


def _due_webhooks(now: datetime) -> QuerySet[Webhook]:
    leased = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), leased_until__gt=now).order_by()
    number = leased.values("webhook").annotate(number=Count("pk")).values("number")
    rows = _reachable(now).annotate(
        busy=Coalesce(Subquery(number, output_field=IntegerField()), Value(0)),
        room=Case(When(failing_since__isnull=False, then=Value(1)), default=Value(ROOM)),
    )
    due = WebhookDelivery.objects.filter(_is_due(now), webhook=OuterRef("pk"))
    rows = rows.filter(Exists(due), busy__lt=F("room")).order_by(F("served_at").asc(nulls_first=True), "pk")
    return rows.select_for_update(of=("self",), no_key=True, skip_locked=True)


def _reachable(now: datetime) -> QuerySet[Webhook]:
    rows: QuerySet[Webhook] = Webhook.objects.filter(
        Q(paused_until=None) | Q(paused_until__lte=now), state=WebhookState.ENABLED.value, removed_at=None
    )
    return rows


def _is_due(now: datetime) -> Q:
    return Q(status=DeliveryStatus.PENDING.value, next_attempt_at__lte=now)


def _taken(webhooks: list[Webhook], now: datetime, limit: int) -> list[Claimed]:
    """Rows of these endpoints, which are locked: how much room each has is counted anew behind the lock."""
    pks = [webhook.pk for webhook in webhooks]
    busy = dict(
        WebhookDelivery.objects.filter(webhook__in=pks, leased_until__gt=now)
        .order_by()
        .values_list("webhook")
        .annotate(number=Count("pk"))
    )
    taken: list[Claimed] = []
    for webhook in webhooks:
        room = (1 if webhook.failing_since else ROOM) - busy.get(webhook.pk, 0)
        room = min(room, limit - len(taken))
        if room > 0:
            taken += _leased(webhook, now, room)
    return taken


def _leased(webhook: Webhook, now: datetime, room: int) -> list[Claimed]:
    due = WebhookDelivery.objects.filter(_is_due(now), webhook=webhook).order_by("next_attempt_at", "pk")
    rows = list(due.select_for_update(skip_locked=True, no_key=True)[:room])
    for row in rows:
        row.attempts, row.first_attempt_at = row.attempts + 1, row.first_attempt_at or now
        row.leased_until = row.next_attempt_at = now + LEASE
    WebhookDelivery.objects.bulk_update(rows, ["attempts", "first_attempt_at", "leased_until", "next_attempt_at"])
    return [Claimed(row.pk, webhook.pk, row.attempts, row.first_attempt_at or now, now, now + LEASE) for row in rows]


def _message(delivery: WebhookDelivery, body: bytes, wall: datetime) -> Message | Answer:
    """Signed with every live secret; an Answer where the secret can't be opened."""
    try:
        keys = live_secrets(delivery.webhook, wall)
    except SealBroken:
        log.exception("The secret of webhook %s can't be opened.", delivery.webhook_id)
        return Answer(None, "", 0, "the secret could not be opened: rotate it")
    return Message(delivery.webhook.url, body, signed_headers(message_id(delivery.event.public_id), wall, body, keys))


def _answer(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except Exception as failed:  # a fault of ours must not lose the row
        log.exception("A webhook could not be sent.")
        return Answer(None, "", 0, f"not sent: {type(failed).__name__}")
