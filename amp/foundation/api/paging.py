"""Pages by cursor: each begins where the last one ended, at the same cost however far in (F93).

The lists of the admin use the same keyset. Here the cursor also names its ordering and is signed, so that it is opaque
and a made-up one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation.api.problems import ApiProblem, FieldError
from amp.foundation.lists import keyset
from amp.foundation.lists.keyset import Ordering

PAGE, LONGEST_PAGE = 50, 100
PARAMETERS = ("cursor", "page_size", "ordering")
SALT = "amp.api.cursor"
OLDEST_FIRST = Ordering("id", "id", descending=False)
NEWEST_FIRST = Ordering("-id", "-id")


def by_text(column: str) -> tuple[Ordering, Ordering]:
    """A column of text, in both directions."""
    up = Ordering(column, column, column=column, descending=False, parse=str)
    return up, Ordering(f"-{column}", f"-{column}", column=column, parse=str)


def by_number(column: str) -> tuple[Ordering, Ordering]:
    """A column of whole numbers, in both directions."""
    up = Ordering(column, column, column=column, descending=False, parse=int)
    return up, Ordering(f"-{column}", f"-{column}", column=column, parse=int)


def by_moment(column: str, *, nullable: bool = False) -> tuple[Ordering, Ordering]:
    """A column of instants, in both directions; rows without one come last."""
    up = Ordering(column, column, column=column, descending=False, nullable=nullable)
    return up, Ordering(f"-{column}", f"-{column}", column=column, nullable=nullable)


class Cursors(BasePagination):
    """`{"results": […], "next": address, "next_cursor": text}`; the last page has null for both."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The view's `columns` of one page of rows; one query, two where a page comes to rows without a value."""
        self.request = request
        ordering = _ordering(request, view.orderings, getattr(view, "decided_ordering", None))
        size, cursor = _size(request), request.query_params.get("cursor")
        start = _opened(cursor, ordering) if cursor else None
        page, last = keyset.rows_after(queryset, ordering, size, start, view.columns)
        self.cursor = signing.dumps([ordering.name, ordering.spelled(last)], salt=SALT) if last else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """The page with the way to the next one."""
        return Response({"results": data, "next": self._next(), "next_cursor": self.cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """As the OpenAPI schema tells it."""
        return {
            "type": "object",
            "required": ["results", "next", "next_cursor"],
            "properties": {
                "results": {**schema, "maxItems": LONGEST_PAGE},
                "next": {"type": ["string", "null"], "description": "Address of the next page; null on the last one."},
                "next_cursor": {"type": ["string", "null"], "description": "The same, as a value for `cursor`."},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The parameters that every list takes."""
        size = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
        names = [ordering.name for ordering in view.orderings]
        order = {"type": "string", "enum": sorted(names), "default": names[0]}
        return [
            _parameter("cursor", "`next_cursor` of the page before.", {"type": "string", "minLength": 1}),
            _parameter("page_size", "Rows in a page.", size),
            _parameter("ordering", "The order of the rows; `-` for descending.", order),
        ]

    def _next(self) -> str | None:
        if self.cursor is None:
            return None
        kept = {**self.request.query_params.dict(), "cursor": self.cursor}
        return f"{settings.BASE_URL}{self.request.path}?{urlencode(kept)}"


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _ordering(request: Request, orderings: Sequence[Ordering], decided: str | None) -> Ordering:
    by_name = {ordering.name: ordering for ordering in orderings}
    default = decided if decided in by_name else orderings[0].name
    name = request.query_params.get("ordering", default)
    if name not in by_name:
        raise _wrong("ordering", _("Order by one of %(names)s.") % {"names": ", ".join(sorted(by_name))})
    return by_name[name]


def _size(request: Request) -> int:
    given = request.query_params.get("page_size", str(PAGE))
    is_number = given.isascii() and given.isdecimal() and len(given) <= 3
    if not is_number or not 1 <= int(given) <= LONGEST_PAGE:
        raise _wrong("page_size", _("Ask for 1 to %(limit)d rows.") % {"limit": LONGEST_PAGE})
    return int(given)


def _opened(cursor: str, ordering: Ordering) -> str:
    try:
        name, key = signing.loads(cursor, salt=SALT)
        ordering.read(str(key))
    except (signing.BadSignature, ValueError, TypeError):
        raise _wrong("cursor", _("No such cursor. Begin with the first page.")) from None
    if name != ordering.name:
        raise _wrong("cursor", _("This cursor belongs to another ordering. Begin with the first page."))
    return str(key)


def _wrong(name: str, message: str) -> ApiProblem:
    return ApiProblem("invalid_parameters", errors=[FieldError(name, "invalid", message)])
