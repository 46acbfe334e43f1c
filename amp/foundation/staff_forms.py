"""Input shapes of members and invitations."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, Role, User
from amp.foundation.models.users import ROLE_CHOICES
from amp.foundation.services.members import roles_granted_by


def role_choices(roles: list[Role]) -> list[tuple[str, Any]]:
    """The choices of a role field, in the order of the table."""
    return [(value, name) for value, name in ROLE_CHOICES if Role(value) in roles]


class InviteForm(forms.Form):
    """Whom to invite, where, and as what."""

    halves = ("role", "language")

    email = forms.EmailField(label=_("E-mail"), max_length=254, widget=UnfoldAdminEmailInputWidget)
    full_name = forms.CharField(
        label=pgettext_lazy("person", "Name"), max_length=120, required=False, widget=UnfoldAdminTextInputWidget
    )
    enterprise = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.MANAGE_MEMBERS),
        help_text=_("The role reaches down to the enterprises below."),
    )
    role = forms.ChoiceField(label=_("Role"), widget=UnfoldAdminSelectWidget)
    language = forms.ChoiceField(
        label=_("Language of the mail"), choices=settings.LANGUAGES, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = enterprises_where(user, Action.MANAGE_MEMBERS)
        self.fields["enterprise"].queryset = allowed  # type: ignore[attr-defined]
        self.fields["enterprise"].initial = allowed[0].pk if allowed else None
        roles = {role for row in allowed for role in roles_granted_by(user, row)}
        self.fields["role"].choices = role_choices(list(roles))  # type: ignore[attr-defined]


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label=_("Role"), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, roles: list[Role], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = role_choices(roles)  # type: ignore[attr-defined]
