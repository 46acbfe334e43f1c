"""Durations in two units, and rows of property and value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import BASE_INPUT_CLASSES, SELECT_CLASSES

from catalog.tsl import Property

INPUT = " ".join(BASE_INPUT_CLASSES)
SELECT = " ".join(SELECT_CLASSES)
ACTION_ROWS = 6
"""Rows that an action's editor offers."""


class DurationWidget(forms.Widget):
    """A number of seconds as two numbers, such as hours and minutes; what is left over gets a field of its own."""

    def __init__(self, units: Sequence[tuple[str, Any, int]], *, with_seconds: bool = False) -> None:
        super().__init__()
        self.units = units
        self.with_seconds = with_seconds

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Inputs named `name_hours`, `name_minutes`…"""
        parts = self._parts(value)
        row = (
            '<input type="number" min="0" step="1" class="{}" name="{}_{}" id="id_{}_{}" value="{}" aria-label="{}">'
            " <span>{}</span>"
        )
        is_shown = self.with_seconds
        shown = [unit for unit in self.units if is_shown or unit[2] > 1 or parts.get(unit[0]) not in {"", "0", None}]
        cells = [(INPUT, name, unit, name, unit, parts.get(unit, ""), label, label) for unit, label, _size in shown]
        return format_html('<div class="amp-inline">{}</div>', format_html_join("", row, cells))

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """What was typed, by unit."""
        return {unit: data.get(f"{name}_{unit}", "").strip() for unit, _label, _size in self.units}

    def id_for_label(self, id_: str) -> str:
        """The first number."""
        return f"{id_}_{self.units[0][0]}"

    def _parts(self, value: Any) -> dict[str, str]:
        if value is None or isinstance(value, dict):
            return value or {}
        parts, left = {}, int(value or 0)
        for unit, _label, size in self.units:
            parts[unit], left = str(left // size), left % size
        return parts


class DurationField(forms.Field):
    """Seconds, typed in `units` (name, label, seconds), largest first."""

    def __init__(self, *, units: Sequence[tuple[str, Any, int]], **kwargs: Any) -> None:
        self.units = units
        super().__init__(widget=DurationWidget(units), required=False, **kwargs)

    def clean(self, value: Any) -> int:
        """Whole numbers of at most six digits; an empty one is 0."""
        total = 0
        for unit, label, size in self.units:
            typed = value.get(unit, "") or "0"
            if not (typed.isascii() and typed.isdigit()) or len(typed) > 6:
                raise forms.ValidationError(
                    _("Type whole numbers; “%(typed)s” in %(unit)s is none.") % {"typed": typed[:20], "unit": label}
                )
            total += int(typed) * size
        return total


class OptionalDurationField(DurationField):
    """The same, or nothing: all fields empty, or 0, is None. Seconds are typed too."""

    def __init__(self, *, units: Sequence[tuple[str, Any, int]], **kwargs: Any) -> None:
        super().__init__(units=units, **kwargs)
        self.widget = DurationWidget(units, with_seconds=True)

    def clean(self, value: Any) -> int | None:  # type: ignore[override]
        """Seconds, or None."""
        return super().clean(value) or None


HOURS_AND_MINUTES = (("hours", _("hours"), 3600), ("minutes", _("minutes"), 60), ("seconds", _("seconds"), 1))
MINUTES_AND_SECONDS = (("minutes", _("minutes"), 60), ("seconds", _("seconds"), 1))
DAYS_AND_HOURS = (("days", _("days"), 86_400), ("hours", _("hours"), 3600), ("seconds", _("seconds"), 1))


class ActionWidget(forms.Widget):
    """Rows of a property and the value that it is set to; only properties that the TSL lets us write (A19)."""

    properties: Sequence[Property] = ()

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Filled rows and an empty one; further rows wait hidden until asked for."""
        pairs = [*(value or []), *({} for _row in range(ACTION_ROWS - len(value or [])))]
        shown = max(len(value or []), 1)
        rows = [self._row(name, index, pair, index >= shown) for index, pair in enumerate(pairs)]
        adder = '<button type="button" class="amp-link" data-adds="{}_rows">{}</button>'
        return format_html(
            '<div id="{}_rows">{}</div>{}', name, format_html_join("", "{}", ((row,) for row in rows)),
            format_html(adder, name, _("Add a property")),
        )  # fmt: skip

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        """Pairs whose property was chosen, in their order."""
        many = data if isinstance(data, MultiValueDict) else MultiValueDict()
        codes, values = many.getlist(f"{name}_code"), many.getlist(f"{name}_value")
        return [{"code": code, "value": value.strip()} for code, value in zip(codes, values, strict=False) if code]

    def _row(self, name: str, index: int, pair: Mapping[str, Any], hidden: bool) -> str:
        chosen, value = str(pair.get("code", "")), pair.get("value", "")
        given = value if isinstance(value, str) else json.dumps(value)
        known = {each.code for each in self.properties}
        options: list[tuple[str, Any, str, str]] = [("", _("Property…"), "", "")]
        options += [
            (each.code, f"{each.name} ({each.code})", _hint(each), "selected" if each.code == chosen else "")
            for each in self.properties
        ]
        if chosen and chosen not in known:
            options.append((chosen, chosen, "", "selected"))
        return format_html(
            '<div class="amp-row" data-row {}><select class="{}" name="{}_code" aria-label="{}">{}</select>'
            '<input class="{}" name="{}_value" value="{}" placeholder="{}" aria-label="{}" autocomplete="off">'
            '<button type="button" class="amp-button" data-removes aria-label="{}">×</button></div>',
            "hidden" if hidden else "",
            SELECT,
            name,
            _("Property"),
            format_html_join(
                "",
                '<option value="{}" data-hint="{}" {}>{}</option>',
                ((code, hint, mark, label) for code, label, hint, mark in options),
            ),
            INPUT,
            name,
            given,
            next((_hint(each) for each in self.properties if each.code == chosen), _("Value")),
            _("Value"),
            _("Remove"),
        )


def _hint(each: Property) -> str:
    choices = getattr(each.shape.spec, "choices", None)
    if choices:
        return ", ".join(f"{choice.value} = {choice.name}" for choice in choices)[:120]
    return {"BOOL": "true / false"}.get(str(each.shape.data_type).upper(), str(each.shape.data_type).lower())
