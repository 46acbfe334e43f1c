"""Choices of the totals, a day's bill, and the particulars of a fapiao."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.access import Action, may
from amp.foundation.lists.filters import DateField
from amp.foundation.models import Merchant, User
from billing.models import MerchantAccount
from billing.services.totals import LONGEST


def _day() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class TotalsForm(forms.Form):
    """Which days, by day or month, of which merchant."""

    first = DateField(label=gettext_lazy("from"), widget=_day())
    last = DateField(label=gettext_lazy("to"), widget=_day())
    by = forms.ChoiceField(
        label=gettext_lazy("by"), choices=[("day", gettext_lazy("Day")), ("month", gettext_lazy("Month"))]
    )
    merchant = forms.ModelChoiceField(
        label=gettext_lazy("merchant"),
        queryset=Merchant.objects.none(),
        required=False,
        empty_label=gettext_lazy("All"),
    )

    def __init__(self, *args: Any, enterprises: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Merchant.objects.filter(orders__enterprise_id__in=enterprises).distinct().order_by("name", "pk")
        self.fields["merchant"].queryset = rows  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """The days in their order, and not too many."""
        given = super().clean() or {}
        first, last = given.get("first"), given.get("last")
        if isinstance(first, date) and isinstance(last, date):
            if last < first:
                self.add_error("last", _("The last day comes before the first."))
            elif last - first > LONGEST:
                self.add_error("last", _("Choose at most five years."))
        return given


class BillForm(forms.Form):
    """Whose bill, of which day, and the file."""

    account = forms.ModelChoiceField(
        label=gettext_lazy("Merchant account"), queryset=MerchantAccount.objects.none(), widget=UnfoldAdminSelectWidget
    )
    day = DateField(
        label=gettext_lazy("Day"),
        widget=UnfoldAdminTextInputWidget({"type": "date"}),
        help_text=gettext_lazy("The day of the bill as the gateway counts it, in Beijing time."),
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.zip,text/csv"}),
        allow_empty_file=True,
        max_length=255,
        help_text=gettext_lazy(
            "The daily trade bill as it was downloaded from the gateway: CSV of WeChat Pay, ZIP of Alipay. "
            "At most 10 MB and 50,000 lines."
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = MerchantAccount.objects.select_related("merchant", "enterprise").order_by("merchant__name", "pk")
        self.accounts = [row for row in rows if may(user, Action.KEEP_BOOKS, row.enterprise)]
        allowed = [row.pk for row in self.accounts]
        self.fields["account"].queryset = rows.filter(pk__in=allowed)  # type: ignore[attr-defined]
        if allowed:
            self.initial.setdefault("account", allowed[0])


class FapiaoForm(forms.Form):
    """Who the fapiao is for; what is wrong with it, the service says."""

    title = forms.CharField(
        label=gettext_lazy("Buyer's name"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("As it is registered with the tax authority."),
    )
    tax_number = forms.CharField(
        label=gettext_lazy("Tax number"),
        max_length=60,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("15 to 20 letters and digits: the unified social credit code of a company."),
    )
    email = forms.CharField(
        label=gettext_lazy("E-mail"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget({"inputmode": "email"}),
        help_text=gettext_lazy("The fapiao is sent there."),
    )
