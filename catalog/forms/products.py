"""Products and their thing models, as people type them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, User


class ProductForm(forms.Form):
    """What people read of a product."""

    name = forms.CharField(label=_("Name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    description = forms.CharField(
        label=_("Description"), required=False, max_length=4_000, widget=UnfoldAdminTextareaWidget({"rows": 3})
    )


class NewProductForm(ProductForm):
    """The same with the enterprise that makes it."""

    field_order = ("enterprise", "name", "description")
    enterprise = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.EDIT_CATALOG),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = enterprises_where(user, Action.EDIT_CATALOG)
        self.fields["enterprise"].queryset = rows  # type: ignore[attr-defined]
        self.initial.setdefault("enterprise", rows.first())


class ThingModelForm(forms.Form):
    """A thing model as a JSON file or as text."""

    file = forms.FileField(label=_("JSON file"), required=False, widget=UnfoldAdminFileFieldWidget)
    text = forms.CharField(
        label=_("Or paste it"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget({"rows": 10, "spellcheck": "false", "placeholder": '{"properties": […]}'}),
    )

    def clean(self) -> dict[str, Any]:
        """One of the two."""
        cleaned = super().clean() or {}
        if bool(cleaned.get("file")) == bool((cleaned.get("text") or "").strip()):
            raise forms.ValidationError(_("Choose a file or paste the text: one of the two."))
        return cleaned

    def document(self) -> str | bytes:
        """What was given; of a large file one byte more than is taken, so that the parser can say so."""
        upload = self.cleaned_data.get("file")
        return upload.read() if upload else self.cleaned_data["text"]
