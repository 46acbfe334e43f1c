"""Choices without end: a select lists a hundred at most; beyond that people type, and the page stays small.

The form's own queryset decides what may be chosen. The address where the browser searches offers the same rows, read in
the scope of the reader (F77).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.widgets import get_select2_language
from django.db.models import QuerySet
from django.forms.models import ModelChoiceIterator
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminAutocompleteWidget, UnfoldAdminSelectWidget

from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise, User

MOST = 100
"""Choices that a select lists."""
PAGE = 20
LAST_PAGE = 1_000
LONGEST = 100


def enterprises_where(user: User, action: Action) -> QuerySet[Enterprise]:
    """Enterprises in which the user's roles include `action`, in the order of the tree."""
    rows = Enterprise.objects.order_by("path")
    return rows.filter(pk__in=[row.pk for row in rows if may(user, action, row)])


class _Searched:
    """Mix in before a select: `address` is the URL name that is searched, `asks` what it is asked besides."""

    choices: Any
    attrs: dict[str, Any]
    is_required: bool
    _few: list[Any] | None

    def __init__(self, address: str, **asks: str) -> None:
        super().__init__()
        self.address, self.asks = address, asks

    def __deepcopy__(self, memo: Any) -> Any:
        copied = super().__deepcopy__(memo)  # type: ignore[misc]
        copied.__dict__.pop("_few", None)  # each form has choices of its own
        return copied

    @property
    def is_long(self) -> bool:
        """Whether there are more choices than are listed, the empty one aside."""
        return len([value for value, _word in self._first() if str(value)]) > MOST

    @property
    def media(self) -> forms.Media:
        """The theme's searching select, where it is needed."""
        if not self.is_long:
            return forms.Media()
        language = get_select2_language()
        words = [f"admin/js/vendor/select2/i18n/{language}.js"] if language else []
        jquery, select2, *rest = UnfoldAdminAutocompleteWidget.Media.js
        return forms.Media(css=UnfoldAdminAutocompleteWidget.Media.css, js=[jquery, select2, *words, *rest])

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """The first choices, or the chosen one alone and where to search for others."""
        if self.is_long:
            self.choices = self._chosen(value)
            attrs = {**(attrs or {}), **self._searching()}
        else:
            self.choices = self._first()
        context: dict[str, Any] = super().get_context(name, value, attrs)  # type: ignore[misc]
        return context

    def _first(self) -> list[Any]:
        if getattr(self, "_few", None) is None:
            choices = self.choices
            if isinstance(choices, ModelChoiceIterator):
                rows = [choices.choice(row) for row in choices.queryset[: MOST + 1]]
                self._few = [*_empty(choices.field), *rows]
            else:
                self._few = list(islice(choices, MOST + 2))
        return self._few or []

    def _chosen(self, value: Any) -> list[tuple[Any, Any]]:
        """The chosen one after an empty one, which stands for none and makes room for the hint."""
        choices, nothing = self.choices, [("", "")]
        if not isinstance(choices, ModelChoiceIterator):
            return nothing + [(key, str(word).strip()) for key, word in choices if key and str(key) == str(value)]
        try:
            row = choices.field.to_python(value)
        except forms.ValidationError:
            return nothing
        return nothing + ([choices.choice(row)] if row else [])

    def _searching(self) -> dict[str, str]:
        hint = next((str(word) for value, word in self._first() if not str(value)), "")
        return {
            "class": f"{self.attrs.get('class', '')} unfold-admin-autocomplete admin-autocomplete".strip(),
            "data-ajax--url": f"{reverse(self.address)}?{urlencode(self.asks)}".rstrip("?"),
            "data-ajax--delay": "250",
            "data-theme": "admin-autocomplete",
            "data-allow-clear": "false" if self.is_required else "true",
            "data-placeholder": hint or _("Type to search"),
            "lang": get_select2_language() or "en",
        }


class Choose(_Searched, UnfoldAdminSelectWidget):
    """In a form."""


class ChooseInList(_Searched, forms.Select):
    """In the filters of a list."""


def found_choices(
    request: HttpRequest, rows: QuerySet[Any], *, by: str, label: Callable[[Any], str] = str
) -> JsonResponse:
    """A page of the rows whose `by` contains what was typed, as the select reads it. `rows` are in order and scope."""
    term = request.GET.get("term", "").strip()[:LONGEST]
    asked = request.GET.get("page", "")
    page = min(int(asked), LAST_PAGE) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 1
    start = (max(page, 1) - 1) * PAGE
    matching = rows.filter(**{f"{by}__icontains": term}) if term else rows
    found = list(matching[start : start + PAGE + 1])
    results = [{"id": str(row.pk), "text": label(row)} for row in found[:PAGE]]
    return JsonResponse({"results": results, "pagination": {"more": len(found) > PAGE}})


def _empty(field: Any) -> list[tuple[str, Any]]:
    return [] if field.empty_label is None else [("", field.empty_label)]
