"""Around every request: its id. Around the API's: the size of bodies, and problems instead of HTML error pages."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from amp.foundation.api.problems import MEDIA_TYPE, OF_STATUS, TABLE, problem
from amp.foundation.api.rendering import to_json
from amp.foundation.api.request_ids import named_request

PREFIX = "/api/"
MAX_BODY = 1024 * 1024
"""Bytes of a request body (F93)."""
Answer = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """X-Request-ID in and out; see `amp.foundation.api.request_ids`."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The outermost of all: what comes after speaks under the id."""
        with named_request(request.headers.get("X-Request-ID")) as name:
            response = self.get_response(request)
            response["X-Request-ID"] = name
            return response


class ApiProblemsMiddleware:
    """Whatever goes wrong below /api/, in whichever layer, is told as a problem (RFC 9457)."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Errors that no endpoint answered arrive here as Django's pages."""
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        if _body_length(request) > MAX_BODY:
            return _told("too_large")
        response = self.get_response(request)
        if response.status_code < 400 or response.get("Content-Type", "").startswith("application/"):
            return response
        default = "bad_request" if response.status_code < 500 else "internal_error"
        code = OF_STATUS.get(response.status_code, default)
        response.content, response["Content-Type"] = to_json(problem(code)), MEDIA_TYPE
        response.status_code = TABLE[code].status
        return response


def _body_length(request: HttpRequest) -> int:
    told = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(told) if told.isascii() and told.isdecimal() else 0


def _told(code: str) -> HttpResponse:
    return HttpResponse(to_json(problem(code)), status=TABLE[code].status, content_type=MEDIA_TYPE)
