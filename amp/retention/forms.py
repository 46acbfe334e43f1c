"""The form of the times for which rows are kept (X5)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from amp.foundation.services.retention import MOST_DAYS, Kept, days_kept
from amp.retention.kinds import KINDS


class RetentionForm(forms.Form):
    """Days for each kind of rows that doesn't stay for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = days_kept(KINDS)
        for kept in KINDS:
            self.fields[kept.name] = forms.IntegerField(
                label=kept.title,
                initial=known[kept.name],
                min_value=0,
                max_value=MOST_DAYS,
                widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
                help_text=_least(kept),
            )

    @property
    def halves(self) -> set[str]:
        """Fields that stand two in a line."""
        return set(self.fields)


def _least(kept: Kept) -> str:
    return ngettext("At least %(n)d day.", "At least %(n)d days.", kept.least) % {"n": kept.least}
