"""Input shape of an API key."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, Scope, User

SCOPE_NAMES: dict[Scope, Any] = {
    Scope.ENTERPRISES_READ: _("Read enterprises"),
    Scope.PRODUCTS_READ: _("Read products and their TSL"),
    Scope.PRODUCTS_WRITE: _("Add and change products, import TSL"),
    Scope.RULES_READ: _("Read and preview device service rules"),
    Scope.RULES_WRITE: _("Change device service rules"),
    Scope.PLANS_READ: _("Read plans"),
    Scope.PLANS_WRITE: _("Draft, change, publish and withdraw plans"),
    Scope.DEVICES_READ: _("Read devices"),
    Scope.DEVICES_WRITE: _("Register and change devices"),
    Scope.PRESENCE_READ: _("Read when devices were online"),
    Scope.SERVICES_READ: _("Read device services and their history"),
    Scope.SERVICES_RENEW: _("Open orders and renew devices"),
    Scope.VALIDITIES_READ: _("Read SIM and RTK services"),
    Scope.VALIDITIES_WRITE: _("Set and clear SIM and RTK services"),
    Scope.ORDERS_READ: _("Read orders"),
    Scope.PAYMENTS_READ: _("Read refunds and payment exceptions"),
    Scope.PAYMENTS_RESOLVE: _("Resolve payment exceptions"),
    Scope.REFUNDS_WRITE: _("Ask for refunds"),
    Scope.REFUNDS_APPROVE: _("Approve refunds that somebody else has asked for"),
    Scope.FAPIAO_READ: _("Read fapiao requests with the buyers' particulars"),
    Scope.FAPIAO_WRITE: _("Request fapiao"),
    Scope.COMMANDS_READ: _("Read commands"),
    Scope.COMMANDS_WRITE: _("Send commands again and cancel them"),
    Scope.NOTICES_READ: _("Read expiry notices"),
    Scope.WEBHOOKS_READ: _("Read webhooks and what they were sent"),
    Scope.WEBHOOKS_WRITE: _("Set up webhooks, rotate their secrets, send again"),
}
VALIDITIES = [(30, _("30 days")), (90, _("90 days")), (180, _("180 days")), (365, _("365 days"))]


class ApiKeyForm(forms.Form):
    """What will use the key, where, and what it may do there."""

    halves = ("enterprise", "days")

    name = forms.CharField(
        label=_("Name"), max_length=80, widget=UnfoldAdminTextInputWidget, help_text=_("What will use the key.")
    )
    enterprise: Any = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.MANAGE_API_KEYS),
        help_text=_("The key reaches down to the enterprises below."),
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"), choices=VALIDITIES, coerce=int, initial=90, widget=UnfoldAdminSelectWidget
    )
    scopes = forms.MultipleChoiceField(
        label=_("The key may"),
        choices=[(scope.value, name) for scope, name in SCOPE_NAMES.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Choose no more than is needed: a lost key can do what you choose here."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = enterprises_where(user, Action.MANAGE_API_KEYS)
        self.fields["enterprise"].queryset = allowed  # type: ignore[attr-defined]
        self.initial.setdefault("enterprise", allowed.first())
