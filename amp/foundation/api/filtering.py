"""Closed lists of query parameters: the FilterSet of an app, which its admin lists share, and nothing else (F72)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from amp.foundation.api.problems import ApiProblem, FieldError

if TYPE_CHECKING:
    from rest_framework.views import APIView

MAX_VALUE = 300
"""Longest value of a parameter, in characters; a cursor fits."""


class Filters(DjangoFilterBackend):
    """Applies a view's `filterset_class`; a wrong value is a 400 that names its parameter."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """The filtered rows."""
        filterset = self.get_filterset(request, queryset, view) if self._is_asked(request, view) else None
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            errors = [
                FieldError(name, problem["code"] or "invalid", problem["message"])
                for name, problems in filterset.errors.get_json_data().items()
                for problem in problems
            ]
            raise ApiProblem("invalid_parameters", errors=errors)
        if decided := getattr(filterset, "ordering", None):
            view.decided_ordering = decided()  # type: ignore[attr-defined]
        rows: QuerySet[Any] = filterset.qs
        return rows

    @staticmethod
    def _is_asked(request: Request, view: APIView) -> bool:
        """Whether a parameter is a filter's: building a form for none is a fifth of an empty page."""
        filters = getattr(getattr(view, "filterset_class", None), "base_filters", ())
        return any(name in filters for name in request.query_params)


def check_parameters(given: QueryDict, known: Iterable[str]) -> None:
    """Refuse unknown, repeated and overlong parameters by name: a misspelt filter never answers with everything."""
    if errors := list(_wrong(given, set(known))):
        raise ApiProblem("invalid_parameters", errors=errors)


def _wrong(given: QueryDict, known: set[str]) -> Iterator[FieldError]:
    for name, values in given.lists():
        shown = name[:80]
        if name not in known:
            yield FieldError(shown, "unknown", _("Unknown parameter. Leave it out."))
        elif len(values) > 1:
            yield FieldError(shown, "repeated", _("Give this parameter once."))
        elif len(values[0]) > MAX_VALUE or "\0" in values[0]:
            yield FieldError(shown, "invalid", _("The value is too long, or holds a NUL."))
