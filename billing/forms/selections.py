"""What people hand in before they renew many devices."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget


class KeyFileForm(forms.Form):
    """A file of device keys."""

    file = forms.FileField(
        label=_("File"),
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.xlsx,text/csv"}),
        allow_empty_file=True,
        max_length=255,
        help_text=_("CSV or XLSX, first line: key, and if wanted product. At most 10 MB and 10,000 devices."),
    )
