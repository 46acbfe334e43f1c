"""Input shapes of webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from alerts.models import Webhook
from alerts.webhooks.public import TYPES
from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, User

OVERLAP_WORDS = [
    (24, _("24 hours: both secrets sign")),
    (72, _("72 hours: both secrets sign")),
    (1, _("1 hour: both secrets sign")),
    (0, _("At once: the old secret is known to others")),
]


class WebhookForm(forms.Form):
    """Where events go, and which."""

    halves = ("name", "enterprise")

    name = forms.CharField(
        label=_("Name"), max_length=80, widget=UnfoldAdminTextInputWidget, help_text=_("The system that listens.")
    )
    url = forms.CharField(
        label="URL",
        max_length=500,
        widget=UnfoldAdminTextInputWidget({"inputmode": "url", "placeholder": "https://"}),
        help_text=_("https, on port 443 or 8443, with a certificate that browsers trust. Redirects are not followed."),
    )
    types = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(name, name) for name in TYPES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen means all, those of later versions included."),
    )
    includes_descendants = forms.BooleanField(
        label=_("Events of the enterprises below too"), required=False, initial=True, widget=UnfoldBooleanWidget
    )

    @classmethod
    def of(cls, data: Any, webhook: Webhook) -> WebhookForm:
        """The form of an endpoint that exists."""
        names = ("name", "url", "types", "includes_descendants")
        return cls(data, initial={name: getattr(webhook, name) for name in names})

    def terms(self) -> dict[str, Any]:
        """What the services take."""
        names = ("name", "url", "types", "includes_descendants")
        return {name: self.cleaned_data[name] for name in names}


class NewWebhookForm(WebhookForm):
    """And whose events."""

    field_order = ("name", "enterprise", "url", "types", "includes_descendants")

    enterprise: Any = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.MANAGE_WEBHOOKS),
        help_text=_("Whose events are sent."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = enterprises_where(user, Action.MANAGE_WEBHOOKS)
        self.fields["enterprise"].queryset = allowed  # type: ignore[attr-defined]
        self.initial.setdefault("enterprise", allowed.first())


class RotateForm(forms.Form):
    """How long the old secret signs too."""

    overlap = forms.TypedChoiceField(
        label=_("The old secret ends after"),
        choices=OVERLAP_WORDS,
        coerce=lambda hours: timedelta(hours=int(hours)),
        initial=24,
        widget=UnfoldAdminSelectWidget,
    )
