"""Input shapes of enterprises and merchants."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, Merchant, User
from amp.foundation.money import MINOR_DIGITS


def _zones() -> list[tuple[str, str]]:
    return [(zone, zone) for zone in sorted(available_timezones()) if "/" in zone or zone == "UTC"]


def _currencies() -> list[tuple[str, str]]:
    return [(code, code) for code in sorted(MINOR_DIGITS)]


class EnterpriseForm(forms.Form):
    """Name, zone and currency of an enterprise."""

    halves = ("time_zone", "currency")

    name = forms.CharField(label=_("Name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=_zones,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Periods are calendar months in this zone. Ends that stand already don't move."),
    )
    currency = forms.ChoiceField(
        label=_("Currency"), choices=_currencies, widget=UnfoldAdminSelectWidget, help_text=_("Offered for new plans.")
    )


class NewEnterpriseForm(EnterpriseForm):
    """The same with its place in the tree."""

    field_order = ("parent", "name", "time_zone", "currency")
    parent = forms.ModelChoiceField(
        label=_("Parent enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.EDIT_ENTERPRISE),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["parent"].queryset = enterprises_where(user, Action.EDIT_ENTERPRISE)  # type: ignore[attr-defined]


class MerchantForm(forms.ModelForm):
    """The merchant that is paid. Confirm makes the first one effective and a change a draft (E2)."""

    class Meta:
        model = Merchant
        fields = ("name", "merchant_id")
        widgets = {"name": UnfoldAdminTextInputWidget, "merchant_id": UnfoldAdminTextInputWidget}
        labels = {"name": _("Legal name"), "merchant_id": _("BSS merchant ID")}
        help_texts = {"merchant_id": _("4 to 32 letters, digits, - or _. Money of this enterprise goes there.")}
