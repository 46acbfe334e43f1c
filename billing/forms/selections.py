"""Files of device keys to renew."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget


class KeyFileForm(forms.Form):
    """A file of device keys."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.xlsx,text/csv"}),
        allow_empty_file=True,
        max_length=255,
        help_text=gettext_lazy(
            "CSV or XLSX, first line: key, and if wanted product. At most 10 MB and 10,000 devices."
        ),
    )
