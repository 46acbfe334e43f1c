"""POST once: the same Idempotency-Key and body get the same answer, whatever died in between (R7, F33, F34)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.problems import ApiProblem
from amp.foundation.api.rendering import MEDIA_TYPE, to_json
from amp.foundation.models import IdempotencyRecord
from amp.foundation.services import idempotency
from amp.foundation.services.idempotency import Answer

KEY = re.compile(r"[\x21-\x7e]{1,128}")
KEPT_HEADERS = ("ETag", "Location")
NOT_KEPT = frozenset({400, 412, 428})
"""Nothing was decided about these: the mended request may come with the same key."""


def once(request: Request, work: Callable[[], Response], refusal: Callable[[Exception], Response]) -> HttpResponseBase:
    """Do the work and keep its answer in one transaction, or repeat the answer that was given."""
    try:
        claimed = idempotency.claim(_named(request), wall=clock.wall())
        return _repeated(claimed) if isinstance(claimed, Answer) else _worked(claimed, work, refusal)
    except idempotency.KeyReused:
        raise ApiProblem("idempotency_key_reused") from None
    except idempotency.RequestInFlight as busy:
        raise ApiProblem("request_in_flight", headers={"Retry-After": str(busy.retry_after)}) from None
    except idempotency.LeaseLost:
        raise ApiProblem("request_in_flight", headers={"Retry-After": "1"}) from None


def _worked(
    record: IdempotencyRecord, work: Callable[[], Response], refusal: Callable[[Exception], Response]
) -> HttpResponseBase:
    try:
        with transaction.atomic():
            response = work()
            idempotency.answer(record, _answer(response))
        return response
    except idempotency.LeaseLost:
        raise
    except Exception as trouble:  # noqa: BLE001 (raised again unless the table knows it)
        return _refused(record, trouble, refusal)


def _refused(
    record: IdempotencyRecord, trouble: Exception, refusal: Callable[[Exception], Response]
) -> HttpResponseBase:
    """What was refused stays refused; what failed, or was only badly put, may be tried again."""
    try:
        response = refusal(trouble)
    except Exception:
        idempotency.release(record)
        raise
    if response.status_code >= 500 or response.status_code in NOT_KEPT:
        idempotency.release(record)
    else:
        idempotency.answer(record, _answer(response))
    return response


def _named(request: Request) -> idempotency.Request:
    key = request.headers.get("Idempotency-Key", "")
    if not KEY.fullmatch(key):
        raise ApiProblem("idempotency_key_required")
    body_hash = hashlib.sha256(request._request.body).hexdigest()
    return idempotency.Request(request.auth.key, request.method or "", request.path, key, body_hash)


def _answer(response: Response) -> Answer:
    body = b"" if response.data is None else to_json(response.data)
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    return Answer(response.status_code, body, response.content_type or MEDIA_TYPE, headers)


def _repeated(answer: Answer) -> HttpResponse:
    headers = {**answer.headers, "Idempotency-Replayed": "true"}
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type, headers=headers)
