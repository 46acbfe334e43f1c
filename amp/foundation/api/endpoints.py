"""The base of all endpoints: who may, in whose scope, with which parameters, and how a change is made.

A read serializes rows of the scope. A write is a named action that checks its body and calls one service; the base
opens the transaction, so that `changing` can lock the row before it compares If-Match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from amp.foundation.api import paging, retries
from amp.foundation.api.authentication import Caller, HasScope, KeyAuthentication
from amp.foundation.api.fields import Input
from amp.foundation.api.filtering import Filters, check_parameters
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST, Cursors
from amp.foundation.api.problems import ApiProblem, answer_to
from amp.foundation.api.rendering import Json, JsonBody
from amp.foundation.api.rows import Row
from amp.foundation.api.throttling import KeyThrottle
from amp.foundation.api.versions import check_match, etag_of, is_known
from amp.foundation.lists.keyset import Ordering
from amp.foundation.models import Scope
from amp.foundation.scoping import may_change

SAFE = frozenset({"GET", "HEAD"})
ID = r"(?P<pk>[0-9]{1,18})"
"""A row's id in an address."""


class Endpoint(GenericViewSet):
    """Actions on one kind of resource. `scopes` names what each action needs; an action without a name is a bug."""

    scopes: ClassVar[Mapping[str, Scope | None]] = {}
    # POST actions that only compute, or that repeat their answer by themselves: no Idempotency-Key, no transaction.
    computing: ClassVar[frozenset[str]] = frozenset()
    # POST actions that hold If-Match against the version where it is sent; PUT, PATCH and DELETE always need it.
    matching: ClassVar[frozenset[str]] = frozenset()
    # Codes of what services refuse, by action: for the schema.
    refusals: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # How lists may be ordered, each by an index; the first is the default.
    orderings: ClassVar[tuple[Ordering, ...]] = (OLDEST_FIRST, NEWEST_FIRST)
    # Query parameters of actions other than `list`, by action.
    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    authentication_classes = [KeyAuthentication]
    permission_classes = [HasScope]
    throttle_classes = [KeyThrottle]
    renderer_classes = [Json]
    parser_classes = [JsonBody]
    pagination_class = Cursors
    filter_backends = [Filters]
    metadata_class = None
    lookup_value_regex = "[0-9]{1,18}"
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As DRF's, with the key's scope around the work, the body read once, and UTC whoever's cookie came along."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        with ExitStack() as around:
            around.enter_context(timezone.override(UTC))
            try:
                _ = request.body  # retries hash it, a TSL is read from it: kept before a parser takes the stream
                self.initial(self.request, *args, **kwargs)
                around.enter_context(self.caller.scope())
                response = self._answer(request.method or "")
            except Exception as failure:  # noqa: BLE001 (raised again by DRF unless the table knows it)
                response = self.handle_exception(failure)
            self.response = self.finalize_response(self.request, response, *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Key, scope and throttle first: who may not ask learns nothing about parameters."""
        super().initial(request, *args, **kwargs)
        check_parameters(request.query_params, self._parameters())

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """With what is left of the minute."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        if rate := getattr(request, "auth_rate", None):
            answer["RateLimit-Limit"], answer["RateLimit-Remaining"] = str(rate.limit), str(rate.remaining)
            answer["RateLimit-Reset"] = str(rate.seconds)
        answer["Cache-Control"] = "private, no-cache"
        return answer

    def get_exception_handler(self) -> Any:
        """Problem details for everything."""
        return answer_to

    @property
    def caller(self) -> Caller:
        """The key behind the request."""
        caller = self.request.auth
        if not isinstance(caller, Caller):
            raise ApiProblem("not_authenticated")
        return caller

    @property
    def actor(self) -> str:
        """Who a record names for what this request does."""
        return self.caller.actor

    def checked(self, shape: type[Input]) -> dict[str, Any]:
        """The body in that shape; raises the 400 that names each wrong field."""
        serializer = shape(data=self.request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def found(self, rows: QuerySet[Any], pk: Any) -> Any:
        """The row with that id in the key's scope; another tenant's answers exactly as a missing one (R6, F71)."""
        row = rows.filter(pk=int(pk)).first()
        if row is None:
            raise ApiProblem("not_found")
        return row

    def mine(self, rows: QuerySet[Any], pk: Any) -> Any:
        """The row that this key may change, not locked. Raises 404, and 403 where it is only readable (E1)."""
        row = self.found(rows, pk)
        if not may_change(row.enterprise_id):
            raise ApiProblem("not_yours_to_change")
        return row

    def changing(self, rows: QuerySet[Any], pk: Any, lock: Callable[[Any], object] | None = None) -> Any:
        """The row, locked until the end of the request, that this key may change and whose version matches (F99).

        `lock` is how the service that follows locks, where that is more than this row: whoever took the row first and
        the others after it would wait in a ring with those who lock in the service's order (F23).
        Raises 404, 403 where it is only readable (E1), 428 and 412.
        """
        if lock is None:
            row = self.mine(rows.select_for_update(of=("self",), no_key=True), pk)
        else:
            lock(self.mine(rows, pk))
            row = self.found(rows, pk)  # read anew: it may have changed while we waited
        self.match(self.shown(row))
        return row

    def match(self, representation: Any) -> None:
        """Hold If-Match against what is shown now."""
        check_match(self.request, representation, required=self.request.method != "POST")

    def shown(self, row: Any) -> Any:
        """What `retrieve` shows of the row: its ETag is made from that."""
        return self.representing(row).data

    def representing(self, row: Any) -> BaseSerializer[Any]:
        """The serializer of one resource."""
        return self.serializer_class(row, context=self.get_serializer_context())  # type: ignore[misc]

    def answered(self, representation: Any, status: int = 200, location: str = "") -> Response:
        """One resource with its ETag; 304 where the reader has it."""
        etag = etag_of(representation)
        if self.request.method in SAFE and is_known(self.request, etag):
            return Response(status=304, headers={"ETag": etag})
        headers = {"ETag": etag, **({"Location": location} if location else {})}
        return Response(representation, status=status, headers=headers)

    def _answer(self, method: str) -> HttpResponseBase:
        action = self.action_map.get(method.lower()) if self.action_map else None
        if action is None:
            self.http_method_not_allowed(self.request)
        handler = getattr(self, str(action))
        if method in SAFE or action in self.computing:
            return handler(self.request, *self.args, **self.kwargs)
        if method == "POST":
            return retries.once(
                self.request, lambda: handler(self.request, *self.args, **self.kwargs), self.handle_exception
            )
        with transaction.atomic():
            return handler(self.request, *self.args, **self.kwargs)

    def _parameters(self) -> set[str]:
        if self.action != "list":
            return set(self.parameters.get(self.action or "", ()))
        filterset = getattr(self, "filterset_class", None)
        return {*paging.PARAMETERS, *(filterset.base_filters if filterset else ())}


class Reading(Endpoint):
    """`list` and `retrieve` over `get_queryset`, which names its rows within the request's scope."""

    serializer_class: type[Row]

    @property
    def columns(self) -> tuple[str, ...]:
        """What a page reads of its rows."""
        return self.serializer_class.columns()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.serializer_class.page(page or ()))

    def retrieve(self, request: Request, pk: str) -> Response:
        """One resource with its ETag."""
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))


def empty(status: int = 204) -> HttpResponse:
    """An answer without a body."""
    return HttpResponse(status=status)
