"""Addresses of signing in, below /admin/ like all that staff see; `amp.urls` includes them before the admin site."""

from __future__ import annotations

from django.urls import URLPattern, path

from amp.accounts import joining, passwords, second_factor

app_name = "accounts"
urlpatterns = [
    path("sign-in/code/", second_factor.code, name="code"),
    path("sign-in/enrol/", second_factor.enrol, name="enrol"),
    path("sign-in/recovery-codes/", second_factor.recovery_codes, name="recovery_codes"),
    path("join/<str:token>/", joining.join, name="join"),
]
# Django and the theme look for these names, without a namespace.
password_urls: list[URLPattern] = [
    path("password/forgotten/", passwords.Forgotten.as_view(), name="admin_password_reset"),
    path("password/sent/", passwords.Sent.as_view(), name="password_reset_done"),
    path("password/<uidb64>/<token>/", passwords.Choose.as_view(), name="password_reset_confirm"),
    path("password/changed/", passwords.Chosen.as_view(), name="password_reset_complete"),
]
