"""Taking an invitation: its link leads here, without a session (X1)."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from amp.accounts.forms import JoinForm
from amp.accounts.pages import signing_page
from amp.foundation import clock
from amp.foundation.models import Invitation, User
from amp.foundation.pages import show
from amp.foundation.services import invitations
from amp.foundation.services.refusals import Refused

PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"  # noqa: S105 (a path)


@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Choose name and password; who has an account already just agrees, and signs in as always."""
    invitation = invitations.open_invitation(token=token, wall=clock.wall())
    if invitation is None:
        return signing_page(request, "accounts/gone.html", _("This invitation has ended"), status=410)
    with translation.override(invitation.language):
        response = _answer(request, invitation, token)
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, invitation.language, samesite="Lax")
    return response


def _answer(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    account = invitations.account_of(invitation)
    known = account or User(email=invitation.email, full_name=invitation.full_name)
    form = None if account else JoinForm(known, request.POST or None, initial={"full_name": invitation.full_name})
    problem = ""
    if request.method == "POST" and (form is None or form.is_valid()):
        given = form.cleaned_data if form else {}
        try:
            joined = invitations.accept_invitation(
                token=token,
                full_name=given.get("full_name", ""),
                password=given.get("new_password1"),
                now=clock.now(),
                wall=clock.wall(),
            )
        except Refused as refused:
            problem = str(refused)
            if form:
                show(form, refused)
        else:
            return _joined(request, joined, invitation)
    title = _("Join %(enterprise)s") % {"enterprise": invitation.enterprise}
    page = signing_page(request, "accounts/join.html", title, invitation=invitation, form=form, problem=problem)
    return page.render()


def _joined(request: HttpRequest, joined: invitations.Joined, invitation: Invitation) -> HttpResponse:
    """Somebody new is signed in, up to the second factor; nobody else gets a session from a link in a mail."""
    logout(request)
    if joined.is_new:
        login(request, joined.user, backend=PASSWORD_BACKEND)
        return HttpResponseRedirect(reverse("admin:index"))
    messages.success(
        request, _("You have a role in %(enterprise)s now. Sign in.") % {"enterprise": invitation.enterprise}
    )
    return HttpResponseRedirect(reverse("admin:login"))
