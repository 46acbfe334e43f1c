"""What the API refuses, in one table of stable codes, told as problem details (RFC 9457).

A code never changes its meaning; programs may switch on it. Sentences are for people and follow Accept-Language.
A service's refusal has the code that its exception is named after: `PlanRefused` is `plan_refused`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import IntegrityError
from django.http import Http404
from django.utils.encoding import force_str
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from rest_framework import exceptions
from rest_framework.response import Response

from amp.foundation.api.request_ids import current_request_id
from amp.foundation.services.failures import is_conflict, is_database_trouble
from amp.foundation.services.refusals import Refused

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A row of the table: the HTTP status, a title in a few words, and what the caller should do about it."""

    status: int
    title: Any
    remedy: Any


TABLE: dict[str, Kind] = {
    "bad_request": Kind(400, _("Bad request"), _("Mend the request: it can't be read as HTTP.")),
    "not_json": Kind(400, _("The body is not JSON"), _("Send one JSON object in UTF-8.")),
    "invalid_request": Kind(400, _("Fields are wrong"), _("Mend the fields that `errors` names.")),
    "invalid_parameters": Kind(400, _("Query parameters are wrong"), _("Mend the parameters that `errors` names.")),
    "idempotency_key_required": Kind(
        400, _("Idempotency-Key is missing"), _("Send a new random Idempotency-Key with each POST.")
    ),
    "not_authenticated": Kind(401, _("No API key"), _("Send `Authorization: Bearer amp_…`.")),
    "invalid_key": Kind(401, _("The API key is not valid"), _("Check the key; who made it may have left.")),
    "expired_key": Kind(401, _("The API key has expired"), _("Ask an administrator for a new key.")),
    "revoked_key": Kind(401, _("The API key was revoked"), _("Ask an administrator for a new key.")),
    "scope_missing": Kind(403, _("The key lacks a scope"), _("Use a key with the scope that `detail` names.")),
    "not_yours_to_change": Kind(
        403, _("It belongs to an enterprise above"), _("Ask its owner: you may read it, but not change it.")
    ),
    "not_found": Kind(404, _("Not found"), _("Check the address and the id; the key may not reach it.")),
    "method_not_allowed": Kind(405, _("Method not allowed"), _("Use a method that `Allow` names.")),
    "not_acceptable": Kind(406, _("No such representation"), _("Accept application/json.")),
    "conflict": Kind(409, _("It changed meanwhile"), _("Read it again, then decide.")),
    "request_in_flight": Kind(
        409, _("The same request is in flight"), _("Repeat the request after `Retry-After` seconds.")
    ),
    "precondition_failed": Kind(412, _("It changed since you read it"), _("Read it again and send its new ETag.")),
    "too_large": Kind(413, _("The body is too large"), _("Send at most 1 MB.")),
    "unsupported_media_type": Kind(415, _("Not a JSON body"), _("Send Content-Type: application/json.")),
    "idempotency_key_reused": Kind(
        422, _("The Idempotency-Key was used before"), _("Another body needs a new Idempotency-Key.")
    ),
    "precondition_required": Kind(428, _("If-Match is missing"), _("Send the ETag of what you read as If-Match.")),
    "too_many_requests": Kind(429, _("Too many requests"), _("Wait as many seconds as `Retry-After` says.")),
    "internal_error": Kind(500, _("We failed"), _("Repeat the request; tell us its `request_id` if it stays.")),
    "unavailable": Kind(503, _("Out of reach for a moment"), _("Repeat the request after `Retry-After` seconds.")),
    # What services refuse. The name of the exception is the code.
    "refused": Kind(422, _("Refused"), _("Read `detail`.")),
    "enterprise_refused": Kind(422, _("The enterprise can't be saved"), _("Mend what `errors` names.")),
    "merchant_refused": Kind(422, _("The merchant can't be set"), _("Mend what `errors` names.")),
    "product_refused": Kind(422, _("The product can't be saved"), _("Mend what `errors` names.")),
    "invalid_tsl": Kind(422, _("Not a TSL"), _("Mend each place of the document that `errors` names.")),
    "thing_model_refused": Kind(
        422, _("The TSL doesn't fit the rule"), _("Change the lock and unlock actions of the rule first.")
    ),
    "rule_refused": Kind(422, _("The rule can't be saved"), _("Mend what `errors` names.")),
    "plan_refused": Kind(422, _("The plan can't do that"), _("Mend what `errors` names.")),
    "device_refused": Kind(422, _("The device can't be saved"), _("Mend what `errors` names.")),
    "device_terminated": Kind(422, _("The device is terminated"), _("Register its key anew, then use the new device.")),
    "device_gone": Kind(422, _("The device has no renewal page"), _("Register its key anew, then use the new device.")),
    "validity_refused": Kind(422, _("The validity can't be set"), _("Mend what `errors` names.")),
    "command_refused": Kind(422, _("The command can't do that"), _("Read `detail`; read the command again.")),
    "device_key_taken": Kind(422, _("The device key is taken"), _("Choose another key, or terminate that device.")),
    "devices_not_eligible": Kind(
        422, _("Some devices can't be renewed"), _("Leave out what `errors` names, or choose another plan.")
    ),
    "account_refused": Kind(422, _("No payment account"), _("Connect the merchant to a gateway in the admin.")),
    "no_receipt": Kind(409, _("There is no receipt yet"), _("Ask again once the order is paid.")),
    "order_refused": Kind(422, _("The order can't do that"), _("Read `detail`; read the order again.")),
    "fapiao_refused": Kind(
        422, _("No fapiao can be requested like this"), _("Read `detail`; read the order's receipt.")
    ),
    "refund_refused": Kind(422, _("It can't be refunded like this"), _("Read `detail`; read the order again.")),
    "resolution_refused": Kind(422, _("The case can't be resolved so"), _("Choose one of its `ways`; read it again.")),
    "webhook_refused": Kind(422, _("The webhook can't be saved"), _("Mend what `errors` names.")),
    "delivery_refused": Kind(422, _("It can't be sent again"), _("Read `detail`; read the webhook again.")),
    "once_key_reused": Kind(422, _("The order was opened differently before"), _("Use a new Idempotency-Key.")),
}
OF_STATUS = {400: "bad_request", 403: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class FieldError(NamedTuple):
    """One thing wrong: its place (`name`, `lock_action[0].code`, "" for the whole), a stable code, a sentence."""

    field: str
    code: str
    message: str


class ApiProblem(exceptions.APIException):
    """Raised by an endpoint to answer with a row of the table."""

    def __init__(
        self,
        code: str,
        detail: Any = "",
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = TABLE[code]
        self.code = code
        self.status_code = self.kind.status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__(detail or self.kind.remedy, code)


def problem(code: str, detail: Any = "", errors: Iterable[FieldError] = ()) -> dict[str, Any]:
    """The body of a problem."""
    kind = TABLE[code]
    told: dict[str, Any] = {
        "type": f"/api/v1/problems/{code}",
        "title": force_str(kind.title),
        "status": kind.status,
        "code": code,
        "detail": force_str(detail or kind.remedy),
        "request_id": current_request_id(),
    }
    if listed := [error._asdict() for error in errors]:
        told["errors"] = listed
    return told


def answer_to(failure: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to an exception of a view (DRF's EXCEPTION_HANDLER); None for one that nobody expected."""
    known = as_problem(failure)
    if known is None:
        return None
    if known.status_code == 401:
        known.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    body = problem(known.code, known.detail, known.errors)
    return Response(body, status=known.status_code, headers=known.headers, content_type=MEDIA_TYPE)


def as_problem(failure: Exception) -> ApiProblem | None:
    """The row of the table that an exception stands for."""
    match failure:
        case ApiProblem():
            return failure
        case Refused():
            return _refusal(failure)
        case exceptions.ValidationError():
            return ApiProblem("invalid_request", errors=field_errors(failure.detail))
        case exceptions.APIException():
            return _framework(failure)
        case Http404():
            return ApiProblem("not_found")
        case PermissionDenied():
            return ApiProblem("not_yours_to_change")
        case SuspiciousOperation():
            return ApiProblem("bad_request")
        case IntegrityError():
            return ApiProblem("conflict")
    if is_conflict(failure) or is_database_trouble(failure):
        return ApiProblem("unavailable", headers={"Retry-After": "1"})
    return None


def code_of(refusal: type[Exception]) -> str:
    """`RuleRefused` → `rule_refused`: refusals are named after what was refused, and so are codes."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", refusal.__name__).lower()


def field_errors(detail: Any, field: str = "") -> Iterator[FieldError]:
    """DRF's nested errors as a flat list with the place of each."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from field_errors(inner, _within(field, name))
    elif isinstance(detail, list):
        for place, inner in enumerate(detail):
            yield from field_errors(inner, f"{field}[{place}]" if isinstance(inner, dict) and inner else field)
    else:
        yield FieldError(field, getattr(detail, "code", None) or "invalid", str(detail))


def _within(field: str, name: Any) -> str:
    if name == "non_field_errors":
        return field
    if isinstance(name, int):
        return f"{field}[{name}]"
    return f"{field}.{name}" if field else str(name)


def _refusal(refused: Refused) -> ApiProblem:
    code = code_of(type(refused))
    errors = [FieldError(found.field, "refused", found.message) for found in refused.problems]
    return ApiProblem(code if code in TABLE else "refused", str(refused), errors)


def _framework(failure: exceptions.APIException) -> ApiProblem:
    match failure:
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return ApiProblem("not_authenticated")
        case exceptions.PermissionDenied():
            return ApiProblem("not_yours_to_change")
        case exceptions.NotFound():
            return ApiProblem("not_found")
        case exceptions.MethodNotAllowed():
            return ApiProblem("method_not_allowed", failure.detail)
        case exceptions.NotAcceptable():
            return ApiProblem("not_acceptable")
        case exceptions.UnsupportedMediaType():
            return ApiProblem("unsupported_media_type", failure.detail)
        case exceptions.ParseError():
            return ApiProblem("not_json", failure.detail)
        case exceptions.Throttled():
            wait = max(1, int(getattr(failure, "wait", None) or 1))
            sentence = ngettext("Wait %(n)d second.", "Wait %(n)d seconds.", wait) % {"n": wait}
            return ApiProblem("too_many_requests", sentence, headers={"Retry-After": str(wait)})
    return ApiProblem(OF_STATUS.get(failure.status_code, "internal_error"), failure.detail)
