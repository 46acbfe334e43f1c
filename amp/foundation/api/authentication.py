"""Who calls: an API key in the Authorization header, nothing else. Sessions and cookies open nothing here (F95)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from amp.foundation import clock
from amp.foundation.api.problems import ApiProblem
from amp.foundation.models import ApiKey, Enterprise, Scope
from amp.foundation.scoping import enterprise_scope, system_scope
from amp.foundation.services.api_keys import FoundKey, find_api_key, note_use

if TYPE_CHECKING:  # rest_framework.views imports this module
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class Caller:
    """The key behind a request and the enterprises it reaches, read anew at each request (F79)."""

    found: FoundKey

    is_authenticated = True
    is_active = True

    @property
    def key(self) -> ApiKey:
        """The key's row."""
        return self.found.key

    @property
    def enterprise(self) -> Enterprise:
        """Whose key it is; the top of what it reaches."""
        return self.key.enterprise

    @property
    def actor(self) -> str:
        """Who a record names."""
        return f"API key {self.key.prefix}"

    @property
    def person(self) -> str:
        """Who stands behind the key: for what two people have to decide, a key is nobody of its own."""
        return self.found.maker

    def scope(self) -> AbstractContextManager[None]:
        """The tenant scope of the key: the enterprise and its subtree, the named tables of its ancestors (E1, R6)."""
        return enterprise_scope(self.found.enterprise_ids, self.found.ancestor_ids)


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer amp_…`. Revocation, expiry and deactivation act at the next request (F84)."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        """The caller; None without the header. Raises the problem that says why a key is refused."""
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _space, text = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        with system_scope():
            caller = _caller(text.strip())
        structlog.contextvars.bind_contextvars(actor=f"key:{caller.key.prefix}", enterprise=caller.key.enterprise_id)
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="api"'


def _caller(text: str) -> Caller:
    wall = clock.wall()
    found = find_api_key(text)
    if found is None or not found.has_rights:
        raise ApiProblem("invalid_key")
    if not found.key.is_live(wall):
        raise ApiProblem("revoked_key" if found.key.revoked_at else "expired_key")
    note_use(found.key, wall)
    return Caller(found)


class HasScope(BasePermission):
    """The key holds the scope that the endpoint names for this action; an action without one is closed to everybody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or the problem that says what is missing."""
        action = getattr(view, "action", None)
        if not isinstance(request.auth, Caller):
            raise ApiProblem("not_authenticated")
        scopes: Mapping[str, Scope | None] = getattr(view, "scopes", {})
        if action in (None, "metadata"):
            return True  # no such method: 405 follows
        needed: Any = scopes[action]
        if needed is not None and needed.value not in request.auth.key.scopes:
            sentence = _("This needs a key with the scope %(scope)s.") % {"scope": needed.value}
            raise ApiProblem("scope_missing", sentence)
        return True
