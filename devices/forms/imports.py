"""Files of devices and of SIM and RTK validities, and what is chosen before they are imported."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, User
from catalog.models import Product
from devices.models import ImportMode
from devices.models.imports import MODE_CHOICES


class UploadForm(forms.Form):
    """Whose rows they are, which product is meant where a row names none, and the file."""

    action = Action.REGISTER_DEVICES
    halves = ("enterprise", "product")

    enterprise = forms.ModelChoiceField(
        label=_("Enterprise"), queryset=Enterprise.objects.none(), widget=Choose("admin:enterprise_choices")
    )
    product = forms.ModelChoiceField(
        label=_("Product"),
        queryset=Product.objects.none(),
        required=False,
        empty_label=_("Named in the file"),
        widget=Choose("admin:product_choices"),
        help_text=_("For rows that name no product key in a column “product”."),
    )
    file = forms.FileField(
        label=_("File"),
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.xlsx,text/csv"}),
        allow_empty_file=True,
        max_length=255,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = enterprises_where(user, self.action)
        enterprise: Any = self.fields["enterprise"]
        enterprise.queryset, enterprise.widget.asks = allowed, {"action": self.action.value}
        self.fields["product"].queryset = Product.objects.order_by("name", "pk")  # type: ignore[attr-defined]
        self.initial.setdefault("enterprise", allowed.first())


class DeviceFileForm(UploadForm):
    """Devices to register."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.fields["enterprise"].help_text = _("Who owns the devices: the product's enterprise or one below it.")
        self.fields["file"].help_text = _(
            "CSV or XLSX, first line: key, and if wanted serial, name, iccid, product. At most 10 MB and 50,000 rows."
        )


class ValidityFileForm(UploadForm):
    """Validities to set."""

    action = Action.OPERATE_DEVICES

    why = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Goes on the record of each device."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.fields["enterprise"].help_text = _("Devices of this enterprise and those below it; dates are in its zone.")
        self.fields["file"].help_text = _(
            "CSV or XLSX, first line: key, service, until, and if wanted from, product. At most 10 MB and 50,000 rows."
        )


class ConfirmForm(forms.Form):
    """What happens to the good rows if others are bad."""

    mode = forms.ChoiceField(label=_("Import"), choices=MODE_CHOICES, initial=ImportMode.GOOD_ROWS.value)
