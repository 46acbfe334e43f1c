"""Input shapes of signing in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordInput, UnfoldAdminTextInputWidget

from amp.foundation import clock
from amp.foundation.models import User
from amp.foundation.services.passwords import PASSWORD_CHANGED, PASSWORD_RESET, change_password


class Recorded:
    """A form that changes somebody's password: the change and its event are one transaction (R9)."""

    kind: str
    user: User
    cleaned_data: dict[str, Any]

    def save(self, *_: Any, **__: Any) -> User:
        """Called by Django's views."""
        change_password(user=self.user, password=self.cleaned_data["new_password1"], kind=self.kind, now=clock.now())
        return self.user


class CodeForm(forms.Form):
    """Six digits of an authenticator, or a recovery code; spaces and dashes are as people type them."""

    code = forms.CharField(
        label=pgettext_lazy("sign-in", "Code"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text", "spellcheck": "false"}
        ),
    )

    def clean_code(self) -> str:
        """Letters and digits alone."""
        typed: str = self.cleaned_data["code"]
        return "".join(letter for letter in typed.lower() if letter.isascii() and letter.isalnum())


class ForgottenForm(PasswordResetForm):
    """Whose password was forgotten."""

    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email"})
    )


class ChoosePasswordForm(SetPasswordForm):
    """A new password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget = UnfoldAdminPasswordInput(attrs={"autocomplete": "new-password"})


class JoinForm(ChoosePasswordForm):
    """Name and password of somebody new."""

    field_order = ("full_name", "new_password1", "new_password2")
    full_name = forms.CharField(
        label=pgettext_lazy("person", "Name"),
        max_length=120,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "name"}),
    )


class ResetPasswordForm(Recorded, ChoosePasswordForm):
    """A new password by the link of a mail."""

    kind = PASSWORD_RESET


class ChangePasswordForm(Recorded, AdminOwnPasswordChangeForm):
    """The old password, and a new one twice."""

    kind = PASSWORD_CHANGED
