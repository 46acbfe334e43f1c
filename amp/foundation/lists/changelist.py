"""The admin's list over a FilterSet, read page by page by keyset (row E): at any size the same few queries.

Parameters of its address: the FilterSet's own, and those in `RESERVED`. What isn't understood is said, and shows no
rows (F72). A state of the list is its address: saved views, exports and links from the overview are nothing else.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

from django.contrib.admin.utils import display_for_field, display_for_value, label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.views import ChangeList

from amp.foundation.lists.counts import Count, count_rows
from amp.foundation.lists.filters import Chip, ListFilterSet, Problem
from amp.foundation.lists.keyset import (
    InvalidCursor,
    Ordering,
    Page,
    first_page,
    last_page,
    page_after,
    page_before,
)
from amp.foundation.lists.search import LONGEST, MOST, first_matches, matching

PAGE_PARAMETERS = ("after", "before", "page")
RESERVED = ("q", "sort", "per", "columns", "view", *PAGE_PARAMETERS)
SIZES = (25, 50)
BY_KEY = Ordering("newest", gettext_lazy("Newest first"))
CHECKBOX = "action_checkbox"
NO_ROWS = Page([], has_previous=False, has_next=False)


class Cell(NamedTuple):
    """One value of a row under its column's label."""

    name: str
    label: Any
    value: Any


class Row(NamedTuple):
    """One row: its key, the address of its details, its cells."""

    pk: int
    url: str
    cells: list[Cell]


class KeysetChangeList(ChangeList):
    """A page of rows with what stands around it: filters in use, problems, the way to other pages, the count."""

    def __init__(self, request: HttpRequest, model: Any, list_display: Any, *rest: Any) -> None:
        self.given: QueryDict = request.GET
        self.problems: list[Problem] = []
        self.has_more_matches = False
        self.found_keys: int | None = None
        self.selectable = CHECKBOX in list_display
        super().__init__(request, model, list_display, *rest)

    # --- what is asked for ---------------------------------------------------------------------------------------
    def get_filters(self, request: HttpRequest) -> tuple[list[Any], bool, dict[str, Any], bool, bool]:
        """Django's own filters are not used here."""
        return [], False, {}, False, False

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """All rows that match, search included, however many: for actions and exports. None where a filter is wrong."""
        admin: Any = self.model_admin
        self.filter_specs: list[Any] = []
        self.has_filters = False
        self.filterset: ListFilterSet = admin.filterset(request, self.root_queryset)
        self.form = self.filterset.form
        self.problems = [*self.filterset.problems(RESERVED), *self._own_problems()]
        self.has_active_filters = bool(self.filterset.given)
        self.filtered = self.root_queryset.none() if self.problems else self.filterset.qs
        rows = self.apply_select_related(self.filtered).order_by("-pk")
        return matching(rows, self.filterset.searched, self.query) if self.query and not self.problems else rows

    def _own_problems(self) -> list[Problem]:
        found = []
        if self.query and not self.filterset.searched:
            found.append(Problem("q", _("This list can't be searched.")))
        if len(self.query) > LONGEST:
            found.append(Problem("q", _("Search for at most %(n)d characters.") % {"n": LONGEST}))
        if self.given.get("sort", "") not in {"", *self._orderings}:
            found.append(Problem("sort", _("The list can't be ordered like this.")))
        if self.given.get("per", "") not in {"", *map(str, SIZES)}:
            found.append(Problem("per", _("Choose 25 or 50 rows.")))
        if unknown := set(self.given.getlist("columns")) - set(self.model_admin.all_columns()):
            found.append(Problem("columns", _("There is no such column: %(names)s") % {"names": ", ".join(unknown)}))
        return found

    @cached_property
    def _orderings(self) -> dict[str, Ordering]:
        return {ordering.name: ordering for ordering in (BY_KEY, *self.model_admin.orderings)}

    @cached_property
    def ordering(self) -> Ordering:
        """What was asked for, unless a range among the filters decides (its column's index serves both)."""
        asked = self._orderings.get(self.given.get("sort", ""), BY_KEY)
        decided = self.filterset.ordering()
        if decided and self._orderings[decided].column != asked.column:
            return self._orderings[decided]
        return asked

    @property
    def size(self) -> int:
        """Rows of a page."""
        return next((size for size in SIZES if self.given.get("per") == str(size)), SIZES[-1])

    # --- the page ------------------------------------------------------------------------------------------------
    def get_results(self, request: HttpRequest) -> None:
        """Keys first, over indexes alone; then the rows of these keys with what the columns show."""
        rows = self._searched() if self.query and not self.problems else self.filtered
        self.page = NO_ROWS if self.problems else self._read_page(rows)
        keys = [pk for _value, pk in self.page.keys]
        found = {row.pk: row for row in self.apply_select_related(self.root_queryset).filter(pk__in=keys)}
        self.result_list = [found[pk] for pk in keys if pk in found]
        self.count = self._counted(rows)
        self.result_count = self.full_result_count = self.count.number
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = self

    def _searched(self) -> QuerySet[Any]:
        keys = first_matches(self.filtered, self.filterset.searched, self.query)
        self.found_keys, self.has_more_matches = len(keys), len(keys) > MOST
        return self.root_queryset.filter(pk__in=keys[:MOST])

    def _read_page(self, rows: QuerySet[Any]) -> Page:
        try:
            if cursor := self.given.get("after"):
                return page_after(rows, self.ordering, self.size, cursor)
            if cursor := self.given.get("before"):
                return page_before(rows, self.ordering, self.size, cursor)
        except InvalidCursor:
            self.problems.append(Problem("page", _("There is no such page; this is the first one.")))
        if self.given.get("page") == "last":
            return last_page(rows, self.ordering, self.size)
        return first_page(rows, self.ordering, self.size)

    def _counted(self, rows: QuerySet[Any]) -> Count:
        if self.found_keys is not None:
            return Count(min(self.found_keys, MOST), is_exact=self.found_keys <= MOST)
        if not self.page.has_previous and not self.page.has_next:
            return Count(len(self.page.keys))
        return count_rows(rows)

    # --- what the template shows ---------------------------------------------------------------------------------
    def headers(self) -> list[Cell]:
        """Labels of the columns."""
        return [
            Cell(str(name), label_for_field(name, self.model, self.model_admin), None)
            for name in self.list_display
            if name != CHECKBOX
        ]

    def rows(self) -> list[Row]:
        """The page's rows as text."""
        headers = self.headers()
        return [Row(row.pk, self.url_for_result(row), [self._cell(header, row) for header in headers])
                for row in self.result_list]  # fmt: skip

    def _cell(self, header: Cell, row: Any) -> Cell:
        nothing = self.model_admin.get_empty_value_display()
        try:
            field, _attribute, value = lookup_field(header.name, row, self.model_admin)
        except ObjectDoesNotExist:
            return header._replace(value=nothing)
        if field is None or field.auto_created:
            return header._replace(value=display_for_value(value, nothing))
        if field.remote_field:
            related = getattr(row, field.name)
            return header._replace(value=nothing if related is None else related)
        return header._replace(value=display_for_field(value, field, nothing))

    def fields(self) -> list[Any]:
        """Fields of the bar: those that only links and the API use are left out."""
        return [field for field in self.form if field.name not in self.filterset.unseen]

    def chips(self) -> list[dict[str, str]]:
        """Filters in use, the search among them, each with the address without it."""
        searched = [Chip("q", _("search"), self.query)] if self.query else []
        return [
            {"label": chip.label, "value": chip.value, "url": self.address(chip.parameter)}
            for chip in [*searched, *self.filterset.chips()]
        ]

    def wrong(self) -> list[dict[str, str]]:
        """Problems, each with the address without its parameter."""
        return [
            {"name": self._label(problem.parameter), "message": problem.message, "url": self.address(problem.parameter)}
            for problem in self.problems
        ]

    def _label(self, parameter: str) -> str:
        known = self.filterset.filters.get(parameter)
        return str(known.label) if known else parameter

    def orders(self) -> list[dict[str, Any]]:
        """The orderings offered."""
        return [
            {"title": ordering.title, "url": self.address(sort=name), "is_chosen": ordering is self.ordering}
            for name, ordering in self._orderings.items()
        ]

    def sizes(self) -> list[dict[str, Any]]:
        """Page sizes offered."""
        return [{"title": size, "url": self.address(per=size), "is_chosen": size == self.size} for size in SIZES]

    def columns(self) -> list[dict[str, Any]]:
        """All columns with whether they are shown."""
        return [
            {"name": name, "label": label_for_field(name, self.model, self.model_admin),
             "is_shown": name in self.list_display}
            for name in self.model_admin.all_columns()
        ]  # fmt: skip

    def hidden_fields(self, *without: str) -> list[tuple[str, str]]:
        """What a form has to carry along so that the rest of the state stays."""
        left_out = {*without, *PAGE_PARAMETERS}
        return [(name, value) for name, values in self.given.lists() if name not in left_out for value in values]

    def kept_by_filters(self) -> list[tuple[str, str]]:
        """What the filter bar carries along."""
        return self.hidden_fields("q", "view", *(self.filterset.filters.keys() - self.filterset.unseen))

    def kept_by_columns(self) -> list[tuple[str, str]]:
        """What the choice of columns carries along."""
        return self.hidden_fields("columns")

    def pages(self) -> dict[str, str]:
        """Addresses of the pages around this one; those that aren't there are missing."""
        keys, ordering, addresses = self.page.keys, self.ordering, {}
        if self.page.has_previous and keys:
            addresses["first"] = self.address()
            addresses["previous"] = self.address(before=ordering.spelled(keys[0]))
        if self.page.has_next and keys:
            addresses["next"] = self.address(after=ordering.spelled(keys[-1]))
            addresses["last"] = self.address(page="last")
        return addresses

    def state(self) -> str:
        """What a saved view keeps: all but the page."""
        kept = self.given.copy()
        for name in (*PAGE_PARAMETERS, "view"):
            kept.pop(name, None)
        return kept.urlencode()

    def address(self, without: str = "", **changes: Any) -> str:
        """The list with one parameter less or others changed, from its first page."""
        kept = self.given.copy()
        for name in (*PAGE_PARAMETERS, without):
            kept.pop(name, None)
        for name, value in changes.items():
            kept[name] = str(value)
        return f"?{kept.urlencode()}"
