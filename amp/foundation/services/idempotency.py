"""Requests that may be sent again (R7): claimed by a lease, answered once, the answer repeated.

`claim` commits at once, so that a second request sees the first one in flight. `answer` runs inside the transaction of
the work: after a kill at any moment either both are stored or neither, and the next repeat does the work or finds it
done (F02, F34). Who lost the lease stores nothing: `answer` raises, and the work is rolled back with it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from amp.foundation.models import ApiKey, IdempotencyRecord
from amp.foundation.sealed import seal, unseal

LEASE = timedelta(seconds=60)
"""Longer than any request may run, so that a lease ends only when its process has died."""
KEPT = timedelta(hours=24)


class RequestInFlight(Exception):
    """The same request is being worked on; after `retry_after` seconds at the latest another may take it over."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The same request is still being worked on.")
        self.retry_after = retry_after


class KeyReused(Exception):
    """The idempotency key came with another request body before."""


class LeaseLost(Exception):
    """Another process took the request over; nothing of this one may be stored."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the status, the body as it was sent, and the headers that belong to it."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What names a request: within one API key, its method, path and idempotency key (F34)."""

    api_key: ApiKey
    method: str
    path: str
    key: str
    body_hash: str


@transaction.atomic
def claim(request: Request, *, wall: datetime) -> IdempotencyRecord | Answer:
    """A record to work under, or the answer that was given before. Raises RequestInFlight, KeyReused."""
    names = {"api_key": request.api_key, "key": request.key, "method": request.method, "path": request.path}
    mine = {
        "body_hash": request.body_hash,
        "lease": uuid.uuid4(),
        "lease_until": wall + LEASE,
        "expires_at": wall + KEPT,
    }
    found, is_new = IdempotencyRecord.objects.get_or_create(
        **names, defaults={"enterprise_id": request.api_key.enterprise_id, **mine}
    )
    if is_new:
        return found
    record: IdempotencyRecord | None = IdempotencyRecord.objects.select_for_update().filter(pk=found.pk).first()
    if record is None:  # let go between the two looks: its request was badly put, and this one may be tried
        raise RequestInFlight(1)
    if record.expires_at > wall:
        if record.body_hash != request.body_hash:
            raise KeyReused
        if record.answer is not None:
            return _stored(record)
        if record.lease_until > wall:
            raise RequestInFlight(max(1, int((record.lease_until - wall).total_seconds())))
    for name, value in {**mine, "answer": None, "status": None}.items():
        setattr(record, name, value)
    record.save()
    return record


def answer(record: IdempotencyRecord, given: Answer) -> None:
    """Keep the answer, in the transaction of the work. Raises LeaseLost where another process has taken over."""
    told = {"body": given.body.decode(), "content_type": given.content_type, "headers": given.headers}
    sealed = seal(json.dumps(told).encode(), owner_of(record))
    mine = IdempotencyRecord.objects.filter(pk=record.pk, lease=record.lease, answer=None)
    if not mine.update(answer=sealed, status=given.status):
        raise LeaseLost


def release(record: IdempotencyRecord) -> None:
    """Nothing was done and nothing is to be repeated: the next request with this key begins anew."""
    IdempotencyRecord.objects.filter(pk=record.pk, lease=record.lease, answer=None).delete()


def forget_expired(*, wall: datetime, limit: int) -> int:
    """Delete up to `limit` records whose time is over. How many there were."""
    expired = IdempotencyRecord.objects.filter(expires_at__lte=wall).order_by("expires_at").values_list("pk", flat=True)
    deleted, _tables = IdempotencyRecord.objects.filter(pk__in=list(expired[:limit]), expires_at__lte=wall).delete()
    return deleted


def _stored(record: IdempotencyRecord) -> Answer:
    told = json.loads(unseal(record.answer or "", owner_of(record)))
    return Answer(record.status or 0, told["body"].encode(), told["content_type"], told["headers"])


def owner_of(record: IdempotencyRecord) -> str:
    """Whom a stored answer is sealed for."""
    return f"idempotency:{record.pk}"
