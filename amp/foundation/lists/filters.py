"""What every FilterSet of ours does, for the admin's lists and the API alike (F72, F73).

The parameters are a closed list; each choice is read in the scope of the request; another tenant's row answers as a
missing one. What isn't understood is a problem that names the parameter: no rows, rather than silently all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any, ClassVar, NamedTuple

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.choosing import ChooseInList
from amp.foundation.lists.offered import OfferedTree, RowChoiceFilter
from amp.foundation.models import Enterprise
from amp.foundation.templatetags.amp_display import day

LAST_DAY = date(2999, 12, 31)
FIRST_DAY = date(1970, 1, 1)


class Problem(NamedTuple):
    """A parameter that can't be used, and why. `parameter` may be anything that somebody typed."""

    parameter: str
    message: str


class Chip(NamedTuple):
    """One filter in use: what it says, and the parameter that goes when it is removed."""

    parameter: str
    label: str
    value: str


class DateField(forms.DateField):
    """A day that people could mean: beyond these, a time zone would leave the calendar."""

    default_error_messages: ClassVar = {"invalid": gettext_lazy("Write the day as 2027-01-31.")}

    def clean(self, value: Any) -> date | None:
        """Refuse days that nobody means."""
        found: date | None = super().clean(value)
        if found and not FIRST_DAY <= found <= LAST_DAY:
            raise forms.ValidationError(_("Choose a day between 1970 and 2999."))
        return found


class FromDay(django_filters.DateFilter):
    """Moments from the beginning of that day, in the active zone."""

    field_class = DateField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, lookup_expr="gte", widget=_day_widget(), **kwargs)

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """The first moment of the day belongs."""
        return super().filter(qs, timezone.make_aware(datetime.combine(value, time.min)) if value else None)


class ToDay(django_filters.DateFilter):
    """Moments up to the end of that day, in the active zone."""

    field_class = DateField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, lookup_expr="lte", widget=_day_widget(), **kwargs)

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """The last moment of the day belongs."""
        return super().filter(qs, timezone.make_aware(datetime.combine(value, time.max)) if value else None)


class ListFilterSet(django_filters.FilterSet):
    """Filters of one list."""

    # A range over a column decides the order, else the rows before the range would be walked: parameter → ordering.
    decides_order: ClassVar[dict[str, str]] = {}
    # Columns of which a search matches the beginning, and how the field is described.
    searched: ClassVar[tuple[str, ...]] = ()
    search_hint: ClassVar[Any] = ""
    # Parameters that have no field in the bar but links lead to.
    unseen: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, data: QueryDict | None = None, queryset: QuerySet[Any] | None = None, **options: Any) -> None:
        super().__init__(data, queryset, **options)
        for each in self.filters.values():
            if isinstance(each, django_filters.ChoiceFilter):
                each.extra["empty_label"] = _("All")
                # A field that was asked for before (the API's description asks the class) keeps its old word.
                vars(each).pop("_field", None)

    @property
    def given(self) -> list[str]:
        """Parameters with a value, in the order of the bar."""
        return [name for name in self.filters if str((self.data or {}).get(name, "")).strip()]

    def problems(self, reserved: Iterable[str] = ()) -> Iterator[Problem]:
        """Parameters that don't exist (other than `reserved`), and values that can't be."""
        known = {*self.filters, *reserved}
        for parameter in self.data or ():
            if parameter not in known:
                yield Problem(str(parameter)[:60], _("There is no such filter."))
        for parameter, messages in self.form.errors.items():
            yield Problem(str(parameter), " ".join(str(message) for message in messages))

    def chips(self) -> Iterator[Chip]:
        """The filters in use, in words."""
        for name in self.given:
            if name in self.form.errors:
                continue
            yield Chip(name, str(self.filters[name].label), self._in_words(name))

    def ordering(self) -> str | None:
        """The ordering that the filters in use ask for."""
        return next((self.decides_order[name] for name in self.given if name in self.decides_order), None)

    def _in_words(self, name: str) -> str:
        value = self.form.cleaned_data.get(name)
        if isinstance(value, date):
            return day(timezone.make_aware(datetime.combine(value, time.min)))
        words = {str(key): str(word) for key, word in getattr(self.form.fields[name], "choices", ())}
        return words.get(str(value), str(value)).strip()


class EnterpriseFilterSet(ListFilterSet):
    """Adds the enterprise with its descendants (E1); `enterprise_paths` lead to it."""

    enterprise_paths: ClassVar[tuple[str, ...]] = ("enterprise",)

    enterprise = RowChoiceFilter(
        label=gettext_lazy("enterprise"), method="within", choices=(), widget=ChooseInList("admin:enterprise_choices")
    )

    def __init__(self, data: QueryDict | None = None, queryset: QuerySet[Any] | None = None, **options: Any) -> None:
        super().__init__(data, queryset, **options)
        self._tree = OfferedTree(Enterprise.objects.order_by("path"))
        self.filters["enterprise"].extra["choices"] = self._tree

    def within(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Rows of that enterprise and those below it."""
        ids = self._tree.below(value)
        return rows.filter(**{f"{path}__in": ids for path in self.enterprise_paths})


def _day_widget() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date", "min": str(FIRST_DAY), "max": str(LAST_DAY)}, format="%Y-%m-%d")
