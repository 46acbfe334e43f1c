"""The second step of signing in: a code from the authenticator, or its enrolment with a QR code (X1)."""

from __future__ import annotations

import django_otp
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from amp.accounts.drawing import qr_drawing
from amp.accounts.forms import CodeForm
from amp.accounts.middleware import missing_step
from amp.accounts.pages import signing_page
from amp.foundation import clock
from amp.foundation.pages import signed_in
from amp.foundation.services import second_factor
from amp.foundation.services.refusals import Refused


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for a code of the authenticator, or a recovery code."""
    user = signed_in(request)
    if missing_step(request) != "accounts:code":
        return HttpResponseRedirect(onward(request))
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            device = second_factor.verify_code(
                user=user, code=form.cleaned_data["code"], now=clock.now(), wall=clock.wall()
            )
        except second_factor.CodeRefused as refused:
            form.add_error("code", _refusal(refused))
        else:
            _complete(request, device)
            return HttpResponseRedirect(onward(request))
    title = _("Enter the code")
    return signing_page(request, "accounts/code.html", title, form=form, next=request.GET.get("next", ""))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Show the secret as QR and text; the first right code confirms it, and recovery codes are shown once."""
    user = signed_in(request)
    if user.uses_totp:
        return HttpResponseRedirect(onward(request))
    device = second_factor.begin_enrolment(user=user)
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            codes = second_factor.confirm_enrolment(
                user=user, code=form.cleaned_data["code"], now=clock.now(), wall=clock.wall()
            )
        except second_factor.CodeRefused as refused:
            form.add_error("code", _refusal(refused))
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            _complete(request, second_factor.authenticator_of(user))
            return _codes_page(request, codes)
    return signing_page(
        request,
        "accounts/enrol.html",
        _("Set up two-step sign-in"),
        form=form,
        drawing=qr_drawing(device.config_url, _("QR code for the authenticator")),
        secret=second_factor.secret_of(device),
        is_required=missing_step(request) is not None,
        next=request.GET.get("next", ""),
    )


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """How many codes are left; POST makes new ones, which voids the old."""
    user = signed_in(request)
    if not user.uses_totp:
        return HttpResponseRedirect(reverse("accounts:enrol"))
    if request.method == "POST":
        return _codes_page(request, second_factor.renew_recovery_codes(user=user, now=clock.now()))
    left = second_factor.recovery_codes_left(user)
    return signing_page(request, "accounts/recovery.html", _("Two-step sign-in"), left=left)


def onward(request: HttpRequest) -> str:
    """Where the sign-in leads: to `next` where that is a page of ours (F95)."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    return asked if is_ours else reverse(settings.LOGIN_REDIRECT_URL)


def _complete(request: HttpRequest, device: object) -> None:
    """The session has all rights from here, so it gets a new key (F95)."""
    django_otp.login(request, device)
    request.session.cycle_key()


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    title = _("Recovery codes")
    return signing_page(request, "accounts/recovery_codes.html", title, codes=codes, onward=onward(request))


def _refusal(refused: second_factor.CodeRefused) -> str:
    if not refused.seconds:
        return _("This code is wrong, or was used already. Enter the code that the authenticator shows now.")
    return ngettext(
        "Too many wrong codes. Wait %(n)d second, then try again.",
        "Too many wrong codes. Wait %(n)d seconds, then try again.",
        refused.seconds,
    ) % {"n": refused.seconds}
