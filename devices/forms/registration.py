"""Registering one device."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, User
from catalog.models import Product
from devices.models.devices import KEY_PATTERN


class PlaceForm(forms.Form):
    """Which product, and whose device."""

    product = forms.ModelChoiceField(
        label=_("Product"),
        queryset=Product.objects.none(),
        widget=Choose("admin:product_choices"),
        empty_label=_("Choose…"),
    )
    enterprise = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.REGISTER_DEVICES),
        empty_label=_("Choose…"),
        help_text=_("Who owns the device: the product's enterprise or one below it."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = enterprises_where(user, Action.REGISTER_DEVICES)
        self.fields["enterprise"].queryset = allowed  # type: ignore[attr-defined]
        self.fields["product"].queryset = Product.objects.order_by("name", "pk")  # type: ignore[attr-defined]
        if len(only := allowed[:2]) == 1:
            self.initial.setdefault("enterprise", only[0])


class DeviceForm(PlaceForm):
    """One device."""

    halves = ("product", "enterprise", "key", "serial", "name", "iccid")

    key = forms.CharField(
        label=_("Device key"),
        max_length=64,
        validators=[RegexValidator(KEY_PATTERN, _("Use 1 to 64 letters, digits, - or _."))],
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("The device's name at the broker; unique within the product."),
    )
    serial = forms.CharField(label=_("Serial number"), max_length=64, required=False, widget=UnfoldAdminTextInputWidget)
    name = forms.CharField(label=_("Name"), max_length=120, required=False, widget=UnfoldAdminTextInputWidget)
    iccid = forms.CharField(
        label="ICCID",
        max_length=22,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        validators=[RegexValidator(r"^[0-9A-Fa-f]{0,22}$", _("Up to 22 digits."))],
    )
