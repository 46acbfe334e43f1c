"""The API's own description (OpenAPI 3.1): every endpoint with the headers it takes and every problem it may answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from amp.foundation.api.problems import MEDIA_TYPE, TABLE, problem

ALWAYS = (
    "invalid_parameters",
    "not_authenticated",
    "invalid_key",
    "expired_key",
    "revoked_key",
    "scope_missing",
    "not_acceptable",
    "too_many_requests",
    "internal_error",
    "unavailable",
)
WITH_BODY = ("not_json", "invalid_request", "too_large", "unsupported_media_type", "conflict")
WITH_KEY = ("idempotency_key_required", "request_in_flight", "idempotency_key_reused")
WITH_MATCH = ("precondition_failed", "precondition_required")
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new random value for each thing to be done; the same one when the request is sent again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "A name for this request in our logs; the answer carries it. One is made where it is missing.",
    "schema": {"type": "string"},
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Problem details (RFC 9457). `code` is stable; sentences are for people.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(TABLE)},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "description": "`lock_action[0].code`; empty for the whole."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


class Described(AutoSchema):
    """What every endpoint has in common; a view's `refusals` adds what its services refuse, by action."""

    def get_override_parameters(self) -> list[Any]:
        """None of the declared ones: headers are added in `get_operation`."""
        parameters: list[OpenApiParameter] = super().get_override_parameters()
        return parameters

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """drf-spectacular's operation with our headers and problems."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation.setdefault("parameters", []).extend(self._headers())
        for status, codes in self._problems().items():
            operation["responses"].setdefault(status, _response(codes))
        for status, response in operation["responses"].items():
            if status in {"200", "201"} and self._has_version():
                response.setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
        return operation

    def _headers(self) -> list[dict[str, Any]]:
        headers = [REQUEST_ID]
        if self._is_once():
            headers.append(IDEMPOTENCY_KEY)
        if self.method in {"PUT", "PATCH", "DELETE"} or self._action() in getattr(self.view, "matching", ()):
            headers.append(_if_match(required=self.method != "POST"))
        return headers

    def _problems(self) -> dict[str, list[str]]:
        codes = [*ALWAYS, *getattr(self.view, "refusals", {}).get(self._action(), ())]
        if self.method not in {"GET", "HEAD"}:
            codes += WITH_BODY
        if self._is_once():
            codes += WITH_KEY
        if self.method in {"PUT", "PATCH", "DELETE"}:
            codes += [*WITH_MATCH, "not_yours_to_change"]
        if "{" in self.path:
            codes.append("not_found")
        by_status: dict[str, list[str]] = {}
        for code in dict.fromkeys(codes):
            by_status.setdefault(str(TABLE[code].status), []).append(code)
        return dict(sorted(by_status.items()))

    def _action(self) -> str:
        return str(getattr(self.view, "action", ""))

    def _is_once(self) -> bool:
        return self.method == "POST" and self._action() not in getattr(self.view, "computing", ())

    def _has_version(self) -> bool:
        return self._action() != "list" and self._action() not in getattr(self.view, "computing", ())


def _if_match(*, required: bool) -> dict[str, Any]:
    description = "The ETag of the version that you read; the change is refused if it is no longer that one."
    return {
        "name": "If-Match",
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
    }


def _response(codes: list[str]) -> dict[str, Any]:
    examples = {code: {"value": {**problem(code), "request_id": "3f0c6d0c7b1d4f5e"}} for code in codes}
    return {
        "description": " / ".join(str(TABLE[code].title) for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def add_problem(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Post-processing: the schema that all problems share, and keys as the one way in."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "amp_…", "description": "An API key."}
    }
    result["security"] = [{"apiKey": []}]
    return result
