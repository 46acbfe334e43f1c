"""A forgotten password: the same answer, in the same time, whether or not the account exists (F94)."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import (
    PasswordResetCompleteView,
    PasswordResetConfirmView,
    PasswordResetDoneView,
    PasswordResetView,
)
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from amp.accounts.forms import ForgottenForm, ResetPasswordForm
from amp.foundation import clock
from amp.foundation.models import User
from amp.foundation.services.mail import send_mail
from amp.public.throttle import is_too_fast

log = logging.getLogger(__name__)
ASKED_A_MINUTE = 5


class Framed:
    """The theme's frame without navigation."""

    request: HttpRequest

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """What the frame shows, and the page's own."""
        own = super().get_context_data(**context)  # type: ignore[misc]
        return {**admin.site.each_context(self.request), **own}


class Forgotten(Framed, PasswordResetView):
    """Asks for the address, and mails a link that works for two hours and until the password changes."""

    form_class = ForgottenForm
    template_name = "accounts/forgotten.html"
    title = _("Forgotten your password?")

    def form_valid(self, form: Any) -> HttpResponse:
        """The mail leaves on a thread of its own: its time would tell that the account exists."""
        if is_too_fast(self.request, wall=clock.wall(), name="forgotten", limit=ASKED_A_MINUTE):
            form.add_error(None, _("Too many requests. Wait a minute, then try again."))
            return self.render_to_response(self.get_context_data(form=form), status=429)
        address, language = form.cleaned_data["email"].strip().lower(), get_language() or "en"
        mailing(send_reset, address, language)
        return HttpResponseRedirect(reverse("password_reset_done"))


class Sent(Framed, PasswordResetDoneView):
    """Says that a mail is on its way if the account exists."""

    template_name = "accounts/sent.html"
    title = _("Look into your mail")


class Choose(Framed, PasswordResetConfirmView):
    """The link of the mail: a new password. It ends all sessions, and the second factor is asked for as always."""

    form_class = ResetPasswordForm
    template_name = "accounts/choose.html"
    title = _("Choose a new password")
    post_reset_login = False


class Chosen(Framed, PasswordResetCompleteView):
    """On to signing in."""

    template_name = "accounts/chosen.html"
    title = _("The password is changed")


def mailing(send: Any, *arguments: Any) -> None:
    """Call `send` on a thread, with a database connection of its own that is closed afterwards."""

    def run() -> None:
        try:
            send(*arguments)
        except Exception:
            log.exception("A mail about a forgotten password could not be prepared.")
        finally:
            connections.close_all()

    threading.Thread(target=run, name="mail", daemon=True).start()


def send_reset(address: str, language: str) -> str:
    """Mail the link to the account of this address, if there is one that can sign in. "" or why it failed."""
    user = User.objects.filter(email=address, is_active=True).first()
    if user is None:
        return ""
    path = reverse(
        "password_reset_confirm",
        args=[urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)],
    )
    # The link is built from the configured address, never from the request's Host (F96).
    context = {"user": user, "link": settings.BASE_URL + path, "hours": settings.PASSWORD_RESET_TIMEOUT // 3600}
    return send_mail(to=user.email, template="password", language=language, context=context)
