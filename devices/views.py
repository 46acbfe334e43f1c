"""Where EMQX reports presence and asks who may connect and who may use a topic.

None of it exists until `AMP_EMQX_SECRET` is set. EMQX is a machine without a user: the secret is its permission, and
each view opens the system's scope for one service call. A 401 looks the same whatever was wrong.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.conf import settings
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from devices import emqx
from devices.services.emqx import (
    Platform,
    count_refused,
    may_connect,
    may_use_topic,
    platform_of,
    record_emqx_events,
)

log = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]


def _for_emqx(max_bytes: int) -> Callable[[View], View]:
    """A POST of at most `max_bytes` from EMQX; 404 where EMQX isn't set up, 503 while the database is away."""

    def wrap(view: View) -> View:
        @csrf_exempt
        @require_POST
        @wraps(view)
        def checked(request: HttpRequest) -> HttpResponse:
            if not settings.EMQX_SECRET:
                raise Http404
            if _length(request) > max_bytes:
                return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {max_bytes:,} bytes at once.")
            try:
                with system_scope():
                    return view(request)
            except OperationalError as trouble:
                log.warning("EMQX is asked to come again: the database is away: %s", trouble)
                return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database is away. Send this again.")

        return checked

    return wrap


@_for_emqx(emqx.MAX_BYTES)
def ingest(request: HttpRequest) -> HttpResponse:
    """`client.connected` and `client.disconnected`, one or many; 204 once they are stored."""
    is_signed = emqx.is_signed(
        request.body,
        timestamp=request.headers.get("X-AMP-Timestamp", ""),
        signature=request.headers.get("X-AMP-Signature", ""),
        secret=settings.EMQX_SECRET,
        wall=clock.wall(),
    )
    if not is_signed:
        return _unauthorized()
    reading = emqx.read_events(request.body)
    if reading is None:
        count_refused("not_json")
        return _problem(HTTPStatus.BAD_REQUEST, "Send an event of EMQX as a JSON object, or a list of them.")
    dropped = record_emqx_events(reading, shift=clock.shift(), now=clock.now())
    if dropped:
        log.warning("Dropped events of EMQX: %s", dict(dropped))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@_for_emqx(emqx.MAX_QUESTION_BYTES)
def authenticate(request: HttpRequest) -> HttpResponse:
    """EMQX's HTTP authenticator: may this client connect?"""
    return _answered(request, may_connect, {"is_superuser": False})


@_for_emqx(emqx.MAX_QUESTION_BYTES)
def authorize(request: HttpRequest) -> HttpResponse:
    """EMQX's HTTP authorizer: may this client use this topic?"""
    return _answered(request, may_use_topic, {})


def _answered(request: HttpRequest, may: Callable[..., bool], more: dict[str, bool]) -> HttpResponse:
    """What isn't understood is denied, with 200: EMQX asks the next in its chain where a question got an error."""
    given = request.headers.get("X-AMP-Secret", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, settings.EMQX_SECRET.encode()):
        return _unauthorized()
    question = emqx.read_question(request.body)
    platform: Platform = platform_of(settings.MQTT_URL)
    is_allowed = question is not None and may(question, platform=platform)
    return JsonResponse({"result": "allow" if is_allowed else "deny", **more}, headers={"Cache-Control": "no-store"})


def _length(request: HttpRequest) -> int:
    told = request.META.get("CONTENT_LENGTH") or "0"
    return int(told) if told.isascii() and told.isdigit() else 0


def _unauthorized() -> HttpResponse:
    return _problem(HTTPStatus.UNAUTHORIZED, "Sign the request with the secret of this installation.")


def _problem(status: HTTPStatus, detail: str) -> HttpResponse:
    content = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return JsonResponse(content, status=status, content_type="application/problem+json")
