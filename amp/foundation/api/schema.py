"""The API's own description (OpenAPI 3.1): every endpoint with the headers it takes and every problem it may answer."""

from __future__ import annotations

from typing import Any

from django.utils import translation
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from amp.foundation.api.problems import MEDIA_TYPE, TABLE, problem
from amp.foundation.scoping import enterprise_scope

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
ROW_ID = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
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
        if self.method == "GET" and self._has_version():
            operation["responses"]["304"] = {"description": "It is what If-None-Match names."}
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
        elif self._action() in getattr(self.view, "matching", ()):
            codes.append("precondition_failed")
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
    """Post-processing: what all endpoints share is said once and referred to."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    for name, schema in schemas.items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False  # F82
        else:
            _forget_columns(schema)
    responses = _Shared("responses")
    parameters = _Shared("parameters")
    for path in sorted(result["paths"]):
        for operation in result["paths"][path].values():
            for status, response in operation["responses"].items():
                if MEDIA_TYPE in response.get("content", {}):
                    operation["responses"][status] = responses.reference(response, f"Problem{status}")
            operation["parameters"] = [_parameter(one, parameters) for one in operation["parameters"]]
    components |= {"responses": responses.named, "parameters": parameters.named}
    return result


def _parameter(told: dict[str, Any], shared: _Shared) -> dict[str, Any]:
    if told["in"] == "header":
        return shared.reference(told, told["name"].replace("-", ""))
    return {**told, "schema": ROW_ID} if told["in"] == "path" and told["name"] == "id" else told


def _forget_columns(schema: dict[str, Any]) -> None:
    """Bounds of an answer's integers are those of the database that is in use: none of the reader's business."""
    for one in schema.get("properties", {}).values():
        if one.get("type") in ("integer", ["integer", "null"]):
            for bound in ("minimum", "maximum", "format"):
                one.pop(bound, None)


class _Shared:
    """Parts that many operations have, each under a name of its own."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.named: dict[str, Any] = {}

    def reference(self, part: dict[str, Any], name: str) -> dict[str, str]:
        """Where the part is said; parts that differ get numbers behind their name."""
        names = (f"{name}{letter}" for letter in ["", *(f"_{number}" for number in range(2, 1_000))])
        chosen = next(one for one in names if self.named.setdefault(one, part) == part)
        return {"$ref": f"#/components/{self.section}/{chosen}"}


class KeyScheme(OpenApiAuthenticationExtension):
    """How a key is sent."""

    target_class = "amp.foundation.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "amp_…", "description": "An API key."}


def described() -> dict[str, Any]:
    """The whole document, in English. Nothing of it depends on who asks."""
    from drf_spectacular.generators import SchemaGenerator  # needs DRF's views, which need this module

    with translation.override("en"), enterprise_scope([]):
        document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document
