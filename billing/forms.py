"""What people type about money: amounts as they read them, in the currency that is at hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSingleDateWidget, UnfoldAdminTextInputWidget

from amp.foundation.money import InvalidAmount, decimal_text, minor_digits, parse_amount
from billing.models import Effect
from billing.services.accounts import CONNECTORS

EFFECTS = [
    (Effect.SHORTEN.value, gettext_lazy("Shorten it by what the money is worth")),
    (Effect.KEEP.value, gettext_lazy("Keep it: the device loses no time")),
    (Effect.STOP.value, gettext_lazy("Stop it now, with all that is paid ahead")),
]


class AmountField(forms.CharField):
    """Minor units of one currency, typed as "199.00"."""

    def __init__(self, *, currency: str, **more: Any) -> None:
        super().__init__(widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}), max_length=32, **more)
        self.currency = currency

    def clean(self, value: Any) -> int | None:
        """The amount, or the sentence that says how to type it."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_amount(text, self.currency)
        except InvalidAmount:
            example = decimal_text(19_900, self.currency)
            digits = minor_digits(self.currency)
            sentence = _("Type the amount in digits with at most %(n)d decimals, such as %(example)s.")
            raise forms.ValidationError(sentence % {"n": digits, "example": example}) from None


class ReasonField(forms.CharField):
    """Why somebody does it; the record keeps it."""

    def __init__(self, **more: Any) -> None:
        more.setdefault("label", gettext_lazy("Why"))
        super().__init__(widget=UnfoldAdminTextInputWidget(), max_length=200, **more)


class RefundForm(forms.Form):
    """How much goes back, and what becomes of the devices."""

    halves = ("amount", "days")

    def __init__(self, *args: Any, currency: str, is_single: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["amount"] = AmountField(label=_("Amount to give back"), currency=currency)
        if is_single:
            self.fields["days"] = forms.IntegerField(
                label=_("Days to take"),
                required=False,
                min_value=0,
                max_value=10_980,
                widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
                help_text=_("Empty: as many as the amount is worth."),
            )
        self.fields["effect"] = forms.ChoiceField(
            label=_("The service of the devices"),
            choices=EFFECTS,
            initial=Effect.SHORTEN.value,
            widget=UnfoldAdminRadioSelectWidget(),
        )
        self.fields["reason"] = ReasonField()


class ReceiptForm(forms.Form):
    """What the bank statement says."""

    halves = ("amount", "received_on")

    def __init__(self, *args: Any, currency: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["amount"] = AmountField(label=_("Amount received"), currency=currency)
        self.fields["received_on"] = forms.DateField(label=_("Day of receipt"), widget=UnfoldAdminSingleDateWidget())
        self.fields["reference"] = forms.CharField(
            label=_("Bank reference"), max_length=40, widget=UnfoldAdminTextInputWidget()
        )


class ConnectForm(forms.Form):
    """A gateway to connect; what a gateway needs to know is asked by its own connector."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["provider"] = forms.ChoiceField(
            label=_("Gateway"),
            choices=[(each.provider.value, each.title) for each in CONNECTORS.values()],
            widget=UnfoldAdminRadioSelectWidget(),
        )
        for connector in CONNECTORS.values():
            for secret in connector.secrets:
                self.fields[f"{connector.provider.value}_{secret.name}"] = forms.CharField(
                    label=secret.title,
                    required=False,
                    strip=True,
                    max_length=8_000,
                    widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "amp-text"}, render_value=False),
                )
