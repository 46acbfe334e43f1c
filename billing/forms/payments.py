"""What people hand in about money: amounts as they read them, in the currency at hand; secrets of gateways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.lists.filters import DateField
from amp.foundation.money import InvalidAmount, decimal_text, minor_digits, parse_amount
from billing.models import Effect, PaymentAttempt, Provider
from billing.models.accounts import PROVIDER_NAMES
from billing.orders import PayWay
from billing.services.account_secrets import secret_fields

EFFECTS = [
    (Effect.SHORTEN.value, gettext_lazy("Shorten it by what the money is worth")),
    (Effect.KEEP.value, gettext_lazy("Keep it: the device loses no time")),
    (Effect.STOP.value, gettext_lazy("Stop it now, with all that is paid ahead")),
]

SECRET_TITLES = {
    "mchid": gettext_lazy("Merchant number (mchid)"),
    "appid": gettext_lazy("Application ID (appid)"),
    "certificate_serial": gettext_lazy("Serial number of the merchant certificate"),
    "private_key": gettext_lazy("Private key"),
    "apiv3_key": gettext_lazy("APIv3 key"),
    "app_secret": gettext_lazy("AppSecret of the application, for paying inside WeChat"),
    "public_key_id": gettext_lazy("ID of WeChat Pay's public key"),
    "public_key": gettext_lazy("WeChat Pay's public key"),
    "platform_certificates": gettext_lazy("Platform certificates, instead of the public key or beside it"),
    "sub_mchid": gettext_lazy("Sub-merchant number (sub_mchid)"),
    "sub_appid": gettext_lazy("The sub-merchant's application (sub_appid)"),
    "app_id": gettext_lazy("Application ID (app_id)"),
    "seller_id": gettext_lazy("Number that is paid, 2088… (seller_id)"),
    "alipay_public_key": gettext_lazy("Alipay's public key"),
    "app_auth_token": gettext_lazy("Authorization of the merchant (app_auth_token)"),
    "smid": gettext_lazy("Sub-merchant number (smid)"),
    "service_provider_id": gettext_lazy("The service provider's number, 2088…"),
}


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
        self.fields["received_on"] = DateField(
            label=_("Day of receipt"), widget=UnfoldAdminTextInputWidget({"type": "date"})
        )
        self.fields["reference"] = forms.CharField(
            label=_("Bank reference"), max_length=40, widget=UnfoldAdminTextInputWidget()
        )


class WriteOnlyText(forms.Textarea):
    """Several lines that are typed and never shown again, not even where a form comes back."""

    def format_value(self, value: Any) -> str:
        """Nothing."""
        return ""


class SecretForm(forms.Form):
    """The secrets of gateways, each named `<gateway>_<field>`."""

    def __init__(self, *args: Any, gateways: Iterable[Provider], **more: Any) -> None:
        super().__init__(*args, **more)
        for gateway in gateways:
            for each in secret_fields(gateway):
                self.fields[f"{gateway.value}_{each.name}"] = _secret_input(*each)

    def typed(self, gateway: str) -> dict[str, str]:
        """What was typed for one gateway, by the names of its own fields."""
        given, head = self.cleaned_data, f"{gateway}_"
        return {name.removeprefix(head): str(text) for name, text in given.items() if name.startswith(head)}


class ConnectForm(SecretForm):
    """A gateway to connect, and what each gateway needs to know."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, gateways=Provider, **more)
        choice = forms.ChoiceField(label=_("Gateway"), choices=PROVIDER_NAMES, widget=UnfoldAdminRadioSelectWidget())
        ways = forms.MultipleChoiceField(
            label=_("Ways of paying"),
            choices=PaymentAttempt._meta.get_field("way").choices or (),
            required=False,
            widget=forms.CheckboxSelectMultiple(),
            help_text=_("What the gateway has opened for this merchant. None chosen: all that the gateway can."),
        )
        self.fields = {"provider": choice, "ways": ways, **self.fields}

    def common(self) -> list[forms.BoundField]:
        """What every gateway needs."""
        return [self["provider"], self["ways"]]

    def groups(self) -> list[tuple[Any, list[forms.BoundField], bool]]:
        """Gateways that have secrets: the name, the inputs, and whether they are to be seen at once."""
        chosen = str(self["provider"].value() or "")
        return [
            (title, [self[f"{name}_{each.name}"] for each in secret_fields(Provider(name))], name == chosen)
            for name, title in PROVIDER_NAMES
            if secret_fields(Provider(name))
        ]

    def chosen_ways(self) -> set[PayWay]:
        """The ways that the account is to offer; none where it is all."""
        return {PayWay(each) for each in self.cleaned_data["ways"]}


def _secret_input(name: str, _is_required: bool, is_long: bool, is_partner: bool) -> forms.CharField:
    """One field as `secret_fields` describes it; what is required, the gateway's own check says."""
    hidden = forms.PasswordInput(attrs={"autocomplete": "off", "class": "amp-text"}, render_value=False)
    long = WriteOnlyText(attrs={"autocomplete": "off", "class": "amp-text", "rows": 4, "spellcheck": "false"})
    return forms.CharField(
        label=SECRET_TITLES[name],
        required=False,
        max_length=16_000,
        widget=long if is_long else hidden,
        help_text=_("Only under a service provider (partner mode).") if is_partner else "",
    )
