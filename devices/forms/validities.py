"""What is changed on the SIM or RTK service of one device (N3)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.lists.filters import DateField

SET, EXTEND, CLEAR = "set", "extend", "clear"
CHANGES = [
    (SET, gettext_lazy("Set dates")),
    (EXTEND, gettext_lazy("Extend")),
    (CLEAR, gettext_lazy("Clear: the device has no such service")),
]
MONTHS = [(number, number) for number in (1, 3, 6, 12, 24, 36)]


def _day(label: Any, help_text: Any) -> DateField:
    widget = UnfoldAdminTextInputWidget({"type": "date"})
    return DateField(label=label, required=False, widget=widget, help_text=help_text)


class ValidityForm(forms.Form):
    """Set the dates, extend by months, or clear; always with a reason."""

    halves = ("starts_on", "ends_on", "change", "months")

    change = forms.ChoiceField(label=gettext_lazy("Change"), choices=CHANGES, widget=UnfoldAdminSelectWidget)
    months = forms.TypedChoiceField(
        label=gettext_lazy("Extend by months"),
        choices=MONTHS,
        coerce=int,
        initial=12,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Only to extend: from the end that stands, or from now if it has passed."),
    )
    starts_on = _day(gettext_lazy("Valid from"), gettext_lazy("Only to set dates. Empty: since always."))
    ends_on = _day(gettext_lazy("Valid until"), gettext_lazy("Only to set dates. The last day on which it is valid."))
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Goes on the record of the device."),
    )

    def clean(self) -> dict[str, Any]:
        """An end for dates, months for an extension."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("change") == SET and not given.get("ends_on") and "ends_on" not in self.errors:
            self.add_error("ends_on", _("Give the last day, or choose to extend or to clear."))
        if given.get("change") == EXTEND and not given.get("months") and "months" not in self.errors:
            self.add_error("months", _("Choose by how many months."))
        return given
