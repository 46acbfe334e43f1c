"""System > Personal Data: for those who see every enterprise; what is typed is in no address (X6)."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.test import Client

from amp.foundation.models import Enterprise, Membership, Role, User
from tests.factories import make_member
from tests.services.left_behind import EMAIL, NAME, ROOT, World, scope, world

__all__ = ["scope", "world"]
PAGE = "/admin/personal-data/"


def test_the_page_shows_gives_out_and_erases_only_what_was_typed_twice(world: World) -> None:
    root = User.objects.get(email=ROOT)
    browser = Client()
    browser.force_login(root)
    assert "your roles" in browser.get(PAGE).content.decode()
    assert browser.post(PAGE, {"asked": EMAIL}).status_code == 403
    for enterprise in Enterprise.objects.exclude(memberships__user=root):
        Membership.objects.create(user=root, enterprise=enterprise, role=Role.PLATFORM_ADMINISTRATOR.value)
    assert browser.get(PAGE).status_code == 200
    answer = browser.post(PAGE, {"asked": f" {EMAIL}"})
    assert "no-store" in answer["Cache-Control"]
    assert ("orders", 1) in answer.context["rows"]
    assert "The account is closed" in answer.content.decode()
    package = browser.post(PAGE, {"asked": EMAIL, "do": "export"})
    assert "foundation.user.json" in zipfile.ZipFile(io.BytesIO(package.getvalue())).namelist()
    mistyped = browser.post(PAGE, {"asked": EMAIL, "do": "erase", "typed": NAME})
    assert "Nothing was erased" in mistyped.content.decode()
    assert "nobody erases themselves" in browser.post(PAGE, {"asked": ROOT}).content.decode()
    assert browser.post(PAGE, {"asked": "nobody@example.com"}).context["form"].errors
    assert User.objects.filter(email=EMAIL).exists()
    assert browser.post(PAGE, {"asked": EMAIL, "do": "erase", "typed": EMAIL.upper()}).status_code == 302
    assert not User.objects.filter(email=EMAIL).exists()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMINISTRATOR])
def test_the_page_is_closed_to_every_other_role_X2(world: World, role: Role) -> None:
    browser = Client()
    browser.force_login(make_member(world.shop.enterprise, role))
    assert browser.get(PAGE).status_code == 403
    assert browser.post(PAGE, {"asked": EMAIL, "do": "erase", "typed": EMAIL}).status_code == 403
