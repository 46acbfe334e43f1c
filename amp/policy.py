"""What pages may load, and who may frame them: one Content-Security-Policy for each kind of page (F91, F95)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from csp.constants import HEADER, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

STRICT: dict[str, Any] = {
    "default-src": [NONE],
    "connect-src": [SELF],
    "font-src": [SELF],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "frame-ancestors": [NONE],
    "form-action": [SELF],
}
# The theme's Alpine evaluates the expressions in its attributes, and sets styles on elements.
ADMIN = {**STRICT, "default-src": [SELF], "script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}
# The interface's documentation sets styles on elements; its script is a file of its own.
DOCUMENTATION = {**STRICT, "default-src": [SELF], "style-src": [SELF, UNSAFE_INLINE], "img-src": [SELF, "data:"]}
KINDS = (("/admin/", ADMIN), ("/api/v1/docs", DOCUMENTATION))


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """django-csp, with the policy chosen by address: pages of errors get it too."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """The kind's policy; there is no report-only one."""
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only:
            parts.config = policy_of(request.path)
        return parts

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """In one order: answers that must not be told apart are equal to the letter (F85)."""
        answered: HttpResponseBase = super().process_response(request, response)
        parts = sorted(part.strip() for part in answered.get(HEADER, "").split(";") if part.strip())
        if parts:
            answered[HEADER] = "; ".join(parts)
        return answered


def policy_of(path: str) -> dict[str, Any]:
    """Directives for the page at `path`. Paying leads from a form to the gateway, which the policy must know."""
    directives = next((policy for prefix, policy in KINDS if path.startswith(prefix)), STRICT)
    return {**directives, "form-action": [SELF, *payment_origins()]}


def payment_origins() -> list[str]:
    """Where a form of ours may lead to by redirection: the gateways. The sandbox answers under our own address."""
    base = urlsplit(settings.BASE_URL)
    return [f"{base.scheme}://{base.netloc}", *settings.PAYMENT_ORIGINS]
