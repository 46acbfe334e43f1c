"""Signing in takes a second step where the role needs one, or the member has one (X1, F95)."""

from __future__ import annotations

from base64 import b32encode, b64encode
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from amp.foundation.models import Authenticator, Event, Membership, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import SealBroken
from amp.foundation.services.second_factor import RECOVERY_CODES, recovery_codes_left, renew_recovery_codes
from tests.factories import NOW, make_enterprise, make_member
from tests.services.staff import CODE, ENROL, code_of, enrolled, sign_in

pytestmark = pytest.mark.django_db
PAGES = ("/admin/", "/admin/foundation/membership/", "/admin/password_change/", "/admin/sign-in/recovery-codes/")
SECURED = {Role.PLATFORM_ADMINISTRATOR, Role.ENTERPRISE_ADMINISTRATOR, Role.FINANCE}


@pytest.fixture(autouse=True)
def totp_is_required(settings: Any) -> None:
    settings.REQUIRE_TOTP = True


def member(role: Role = Role.ENTERPRISE_ADMINISTRATOR) -> User:
    with system_scope():
        return make_member(make_enterprise(merchant=False), role)


def kinds() -> set[str]:
    with system_scope():
        return set(Event.objects.filter(subject__startswith="user:").values_list("kind", flat=True))


@pytest.mark.parametrize("role", Role)
def test_the_roles_that_need_it_are_led_to_enrolment_and_reach_nothing_else_X1(role: Role) -> None:
    browser = sign_in(member(role))
    for page in PAGES[:3]:
        answer = browser.get(page)
        if role in SECURED:
            assert answer.status_code == 302, page
            assert answer["Location"].startswith(f"{ENROL}?next="), page
        else:
            assert answer.status_code == 200, page


def test_without_the_requirement_nobody_is_led_anywhere(settings: Any) -> None:
    """Negative control, and the demo: the same member walks in."""
    settings.REQUIRE_TOTP = False
    assert sign_in(member()).get("/admin/").status_code == 200


def test_a_half_signed_in_session_is_nobody_outside_of_the_admin_X1() -> None:
    from django.contrib.auth.models import AnonymousUser
    from django.http import HttpRequest, HttpResponse

    from amp.accounts.middleware import SecondFactorMiddleware

    seen: list[Any] = []
    request = HttpRequest()
    request.path, request.user = "/api/v1/me", member()
    request.user.is_verified = lambda: False  # type: ignore[attr-defined]

    def view(given: HttpRequest) -> HttpResponse:
        seen.append(given.user)
        return HttpResponse()

    SecondFactorMiddleware(view)(request)
    assert [type(user) for user in seen] == [AnonymousUser]


def test_enrolment_shows_a_qr_and_the_key_and_recovery_codes_once_X1() -> None:
    user = member()
    browser = sign_in(user)
    page = browser.get(ENROL).content.decode()
    assert "<svg" in page
    assert "amp-secret" in page
    assert browser.get(ENROL).content.decode().count("<svg") == page.count("<svg")
    assert TOTPDevice.objects.filter(user=user).count() == 1
    answer = browser.post(ENROL, {"code": code_of(user)})
    codes = answer.context["codes"]
    assert len(codes) == len(set(codes)) == 10
    assert "no-store" in answer["Cache-Control"]
    assert not StaticToken.objects.filter(token__in=[code.replace("-", "") for code in codes]).exists()
    assert browser.get("/admin/").status_code == 200
    assert browser.get(ENROL).status_code == 302
    assert codes[0] not in browser.get("/admin/sign-in/recovery-codes/").content.decode()
    assert "user.totp_enrolled" in kinds()


def test_a_wrong_first_code_enrols_nothing_and_the_next_is_made_to_wait_X1() -> None:
    user = member()
    browser = sign_in(user)
    browser.get(ENROL)
    right = code_of(user)
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    assert "This code is wrong" in browser.post(ENROL, {"code": wrong}).content.decode()
    assert "Wait" in browser.post(ENROL, {"code": right}).content.decode()
    user.refresh_from_db()
    assert not user.uses_totp
    assert browser.get("/admin/").status_code == 302


def test_the_code_is_asked_for_at_each_sign_in_and_rotates_the_session_X1_F95() -> None:
    user = member()
    enrolled(user)
    browser = sign_in(user)
    before = browser.session.session_key
    answer = browser.get("/admin/foundation/membership/")
    assert answer["Location"] == f"{CODE}?next=%2Fadmin%2Ffoundation%2Fmembership%2F"
    done = browser.post(answer["Location"], {"code": code_of(user, steps=1), "next": "/admin/foundation/membership/"})
    assert done["Location"] == "/admin/foundation/membership/"
    assert browser.session.session_key != before
    assert browser.get(done["Location"]).status_code == 200


def test_a_member_who_may_do_without_but_has_one_is_asked_too() -> None:
    user = member(Role.READ_ONLY)
    enrolled(user)
    assert sign_in(user).get("/admin/")["Location"].startswith(CODE)


def test_a_code_is_taken_once_and_wrong_ones_make_the_next_wait_X1_F94() -> None:
    user = member()
    enrolled(user)
    used, fresh = code_of(user), code_of(user, steps=1)
    browser = sign_in(user)
    assert "This code is wrong" in browser.post(CODE, {"code": used}).content.decode()
    assert "Wait" in browser.post(CODE, {"code": fresh}).content.decode()
    assert browser.get("/admin/").status_code == 302
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert browser.post(CODE, {"code": fresh}).status_code == 302
    assert browser.get("/admin/").status_code == 200


def test_a_recovery_code_signs_in_once_however_it_is_typed_X1() -> None:
    user = member()
    browser = enrolled(user)
    code = browser.post("/admin/sign-in/recovery-codes/").context["codes"][0]
    other = sign_in(user)
    assert other.post(CODE, {"code": f" {code.upper()} "}).status_code == 302
    assert other.get("/admin/").status_code == 200
    assert "This code is wrong" in sign_in(user).post(CODE, {"code": code}).content.decode()
    assert "user.recovery_code_used" in kinds()


def test_a_recovery_code_is_not_spent_without_its_event_R9(monkeypatch: pytest.MonkeyPatch) -> None:
    user = member()
    enrolled(user)
    codes = renew_recovery_codes(user=user, now=NOW)

    def refuse(*_: Any) -> None:
        raise RuntimeError

    browser = sign_in(user)
    with monkeypatch.context() as patch:
        patch.setattr("amp.foundation.services.second_factor.record_account", refuse)
        with pytest.raises(RuntimeError):
            browser.post(CODE, {"code": codes[0]})
    assert recovery_codes_left(user) == RECOVERY_CODES
    sign_in(user).post(CODE, {"code": codes[0]})
    assert recovery_codes_left(user) == RECOVERY_CODES - 1


def test_new_recovery_codes_void_the_old_ones() -> None:
    user = member()
    browser = enrolled(user)
    old = browser.post("/admin/sign-in/recovery-codes/").context["codes"]
    new = browser.post("/admin/sign-in/recovery-codes/").context["codes"]
    assert not set(old) & set(new)
    assert "This code is wrong" in sign_in(user).post(CODE, {"code": old[0]}).content.decode()


@pytest.mark.parametrize("typed", ["", "abc", "12345", "1234567", "９" * 6, "\0", "x" * 41, "000000"])
def test_any_other_code_is_refused_with_a_sentence(typed: str) -> None:
    user = member()
    enrolled(user)
    browser = sign_in(user)
    answer = browser.post(CODE, {"code": typed})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_the_second_step_leads_to_own_pages_only_F95(onward: str) -> None:
    user = member()
    enrolled(user)
    browser = sign_in(user)
    assert browser.post(CODE, {"code": code_of(user, steps=1), "next": onward})["Location"] == "/admin/"


def test_a_new_role_that_needs_it_takes_effect_in_the_running_session_F79() -> None:
    user = member(Role.OPERATOR)
    browser = sign_in(user)
    assert browser.get("/admin/").status_code == 200
    Membership.objects.filter(user=user).update(role=Role.FINANCE.value)
    assert browser.get("/admin/")["Location"].startswith(ENROL)


def test_the_steps_are_for_people_who_have_given_their_password() -> None:
    for page in (CODE, ENROL, "/admin/sign-in/recovery-codes/"):
        assert Client().get(page)["Location"].startswith("/admin/login/")


def stored() -> str:
    """The whole row of the authenticator, as the database has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM otp_totp_totpdevice")
        return str(cursor.fetchall())


def spellings(secret: bytes) -> list[str]:
    return [secret.hex(), b32encode(secret).decode(), b64encode(secret).decode(), str(secret)]


def test_the_secret_of_an_authenticator_never_stands_readable_in_its_row_X1() -> None:
    user = member()
    enrolled(user)
    device = Authenticator.objects.get()
    assert len(device.bin_key) == 20
    assert not any(spelling in stored() for spelling in spellings(device.bin_key))
    TOTPDevice.objects.update(key=device.bin_key.hex())
    assert device.bin_key.hex() in stored(), "the control: what django-otp itself would store"


def test_a_secret_copied_to_somebody_else_opens_nothing_X1() -> None:
    mine, other = member(), member()
    enrolled(mine)
    enrolled(other)
    copied = Authenticator.objects.get(user=mine).key
    Authenticator.objects.filter(user=other).update(key=copied)
    with pytest.raises(SealBroken):
        _ = Authenticator.objects.get(user=other).bin_key


def test_secrets_from_before_are_sealed_by_the_migration_and_opened_by_its_way_back_X1() -> None:
    migration = import_module("amp.foundation.migrations.0008_sealed_authenticators")
    user = member()
    enrolled(user)
    secret = Authenticator.objects.get().bin_key
    TOTPDevice.objects.update(key=secret.hex())
    for _twice in range(2):
        migration._seal(apps, None)
        assert not any(spelling in stored() for spelling in spellings(secret))
        assert Authenticator.objects.get().bin_key == secret
    TOTPDevice.objects.update(last_t=-1)  # the code of this half minute was taken at the enrolment
    browser = sign_in(user)
    assert browser.post(CODE, {"code": code_of(user)}).status_code == 302
    migration._open(apps, None)
    assert TOTPDevice.objects.get().key == secret.hex()
