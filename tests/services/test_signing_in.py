"""Guessing passwords is braked, sessions are renewed, forgotten passwords tell nothing (X1, F94, F95, F96)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core import mail
from django.core.cache import cache
from django.test import Client

from amp.accounts import passwords
from amp.foundation.models import Event, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.passwords import PASSWORD_CHANGED, change_password
from tests.factories import NOW, PASSWORD, make_enterprise, make_member
from tests.services.staff import LOGIN, last_mail, link_in, sign_in

pytestmark = pytest.mark.django_db
FORGOTTEN = "/admin/password/forgotten/"
NEW_PASSWORD = "a brand new passphrase"


@pytest.fixture(autouse=True)
def clean() -> None:
    cache.clear()


@pytest.fixture
def user() -> User:
    with system_scope():
        return make_member(make_enterprise(merchant=False), Role.OPERATOR)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mail is sent in the test's own thread and transaction."""
    monkeypatch.setattr(passwords, "mailing", lambda send, *arguments: send(*arguments))
    return


def attempt(name: str, password: str, address: str = "198.51.100.7", **headers: str) -> Any:
    given = {"username": name, "password": password}
    return Client().post(LOGIN, given, REMOTE_ADDR=address, headers=headers or None)


def is_let_in(name: str, address: str = "198.51.100.7", **headers: str) -> bool:
    return bool(attempt(name, PASSWORD, address, **headers).status_code == 302)


def fail(name: str, times: int, address: str = "198.51.100.7", **headers: str) -> list[int]:
    return [attempt(name, "wrong", address, **headers).status_code for _ in range(times)]


def test_five_wrong_passwords_close_the_account_to_that_address_for_a_while_F94(user: User) -> None:
    assert fail(user.email, 5) == [200, 200, 200, 200, 429]
    answer = attempt(user.email, PASSWORD)
    assert answer.status_code == 429
    assert "Try again in 15 minutes" in answer.content.decode()
    assert 0 < int(answer["Retry-After"]) <= 900


def test_the_account_opens_again_when_the_time_is_over_F94(user: User) -> None:
    fail(user.email, 5)
    for row in AccessAttempt.objects.all():
        row.attempt_time -= timedelta(minutes=15, seconds=1)
        row.save()
    assert is_let_in(user.email)


def test_trying_on_while_closed_does_not_make_it_longer_F94(user: User) -> None:
    fail(user.email, 5)
    before = AccessAttempt.objects.get().attempt_time
    fail(user.email, 3)
    assert AccessAttempt.objects.get().attempt_time == before


def test_four_wrong_ones_and_a_right_one_begin_anew_F94(user: User) -> None:
    fail(user.email, 4)
    assert is_let_in(user.email)
    assert fail(user.email, 4) == [200] * 4


def test_nobody_locks_a_colleague_or_an_office_out_F94(user: User) -> None:
    with system_scope():
        colleague = make_member(make_enterprise(merchant=False), Role.OPERATOR)
    fail(user.email, 6)
    assert is_let_in(user.email, "203.0.113.9"), "the account is open from elsewhere"
    for number in range(8):
        fail(f"guess{number}@example.com", 5)
    assert is_let_in(colleague.email), "the address is open for other accounts"


def test_fifty_wrong_passwords_for_many_accounts_close_the_sign_in_to_that_address_F94(user: User) -> None:
    """Two guesses at each account never reach the limit of one: the address itself has one too."""
    for number in range(25):
        assert fail(f"guess{number}@example.com", 2) == [200, 200]
    answer = attempt(user.email, PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 900
    assert is_let_in(user.email, "203.0.113.9"), "other addresses are open"
    first = AccessAttempt.objects.order_by("attempt_time")[0]
    first.attempt_time -= timedelta(minutes=15, seconds=1)
    first.save()
    assert is_let_in(user.email), "what lies longer back is forgotten"


def test_spelling_the_address_otherwise_is_the_same_account_F94(user: User) -> None:
    spelled = [user.email, user.email.upper(), f" {user.email}", user.email.title(), f"{user.email} "]
    assert [attempt(name, "wrong").status_code for name in spelled][-1] == 429


def test_the_address_is_what_our_own_proxies_say_and_no_header_of_the_visitor_F94(user: User, settings: Any) -> None:
    for number in range(4):
        fail(user.email, 1, **{"x-forwarded-for": f"203.0.113.{number}"})
    assert fail(user.email, 1, **{"x-forwarded-for": "203.0.113.99"}) == [429], "without proxies the header is nothing"
    AccessAttempt.objects.all().delete()
    settings.TRUSTED_PROXIES = 1
    fail(user.email, 5, **{"x-forwarded-for": "6.6.6.6, 203.0.113.5"})
    assert not is_let_in(user.email, **{"x-forwarded-for": "7.7.7.7, 203.0.113.5"})
    assert is_let_in(user.email, **{"x-forwarded-for": "6.6.6.6, 203.0.113.6"})


def test_unknown_accounts_are_answered_as_known_ones_F94(user: User) -> None:
    known, unknown = attempt(user.email, "wrong"), attempt("nobody@example.com", "wrong")
    told = [answer.context["form"].non_field_errors() for answer in (known, unknown)]
    assert told[0] == told[1]
    assert fail("nobody@example.com", 5)[-1] == 429


def test_passwords_are_not_kept_with_the_attempts_F98(user: User) -> None:
    attempt(user.email, "nearly my password")
    assert "nearly my password" not in str(AccessAttempt.objects.values())


def test_the_session_gets_a_new_key_at_sign_in_F95(user: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = session.session_key
    sign_in(user, browser=browser)
    assert browser.session.session_key != session.session_key
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_own_pages_only_F95(user: User, onward: str) -> None:
    answer = Client().post(f"{LOGIN}?next={onward}", {"username": user.email, "password": PASSWORD, "next": onward})
    assert answer["Location"] == "/admin/"


def test_signing_out_takes_a_post_F95(user: User) -> None:
    browser = sign_in(user)
    assert browser.get("/admin/logout/").status_code == 405
    assert browser.get("/admin/").status_code == 200
    browser.post("/admin/logout/")
    assert browser.get("/admin/").status_code == 302


def test_changing_the_password_ends_the_other_sessions_F95(user: User) -> None:
    here, there = sign_in(user), sign_in(user)
    change = {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    assert here.post("/admin/password_change/", change).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 302


def recorded(user: User) -> list[tuple[str, str]]:
    """What the record says about the account's password, and whether it holds one."""
    with system_scope():
        events = list(Event.objects.filter(kind__startswith="user.password_", subject=f"user:{user.pk}").order_by("id"))
    told = [str((event.before, event.after, event.why)) for event in events]
    assert not any(secret in text for text in told for secret in (PASSWORD, NEW_PASSWORD, user.password))
    return [(event.kind, event.actor) for event in events]


@pytest.mark.usefixtures("at_once")
def test_every_new_password_is_on_the_record_R9(user: User) -> None:
    before = recorded(user)
    change = {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    sign_in(user).post("/admin/password_change/", {**change, "old_password": "wrong"})
    assert recorded(user) == before, "nothing was changed"
    sign_in(user).post("/admin/password_change/", change)
    assert recorded(user) == [*before, ("user.password_changed", user.email)]
    Client().post(FORGOTTEN, {"email": user.email})
    browser = Client()
    form = browser.get(link_in(last_mail()), follow=True)
    browser.post(form.request["PATH_INFO"], {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert recorded(user)[len(before) + 1 :] == [("user.password_reset", user.email)]
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_password_and_its_event_are_stored_together_or_not_at_all_R9(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("amp.foundation.services.passwords.record_account", refuse)
    change = {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    with pytest.raises(RuntimeError):
        sign_in(user).post("/admin/password_change/", change)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_who_is_a_member_nowhere_has_a_record_too_R9(user: User) -> None:
    with system_scope():
        user.memberships.all().delete()
        change_password(user=user, password=NEW_PASSWORD, kind=PASSWORD_CHANGED, now=NOW)
        event = Event.objects.get(kind=PASSWORD_CHANGED)
    assert (event.enterprise_id, event.actor) == (None, user.email)


@pytest.mark.usefixtures("at_once")
def test_a_forgotten_password_is_chosen_anew_by_the_link_of_a_mail_X1(user: User) -> None:
    session = sign_in(user)
    assert Client().post(FORGOTTEN, {"email": user.email.upper()}, follow=True).status_code == 200
    browser = Client()
    form = browser.get(link_in(last_mail()), follow=True)
    chosen = browser.post(
        form.request["PATH_INFO"], {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}, follow=True
    )
    assert "The password is changed" in chosen.content.decode()
    assert session.get("/admin/").status_code == 302, "sessions end (F95)"
    assert sign_in(user, NEW_PASSWORD).get("/admin/").status_code == 200
    again = Client().get(link_in(last_mail()), follow=True).content.decode()
    assert "was used or has ended" in again


@pytest.mark.usefixtures("at_once")
def test_a_reset_is_no_way_past_the_second_step_X1(user: User) -> None:
    User.objects.filter(pk=user.pk).update(uses_totp=True)
    Client().post(FORGOTTEN, {"email": user.email})
    browser = Client()
    form = browser.get(link_in(last_mail()), follow=True)
    browser.post(form.request["PATH_INFO"], {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD})
    assert browser.get("/admin/").status_code == 302
    assert sign_in(user, NEW_PASSWORD).get("/admin/")["Location"].startswith("/admin/sign-in/code/")


@pytest.mark.usefixtures("at_once")
def test_an_unknown_address_gets_the_same_answer_and_no_mail_F94(user: User) -> None:
    answers = [Client().post(FORGOTTEN, {"email": email}) for email in (user.email, "nobody@example.com")]
    assert len({(answer.status_code, answer["Location"], answer.content) for answer in answers}) == 1
    assert [message.to for message in mail.outbox] == [[user.email]]


@pytest.mark.usefixtures("at_once")
def test_somebody_switched_off_gets_no_link(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    Client().post(FORGOTTEN, {"email": user.email})
    assert mail.outbox == []


@pytest.mark.usefixtures("at_once")
def test_the_link_is_built_from_the_configured_address_F96(user: User, settings: Any) -> None:
    settings.BASE_URL = "https://amp.example.com"
    Client().post(FORGOTTEN, {"email": user.email}, headers={"host": "localhost"})
    assert "https://amp.example.com/admin/password/" in last_mail().body


@pytest.mark.usefixtures("at_once")
def test_asking_for_links_is_braked_F94(user: User) -> None:
    browser = Client()
    answers = [browser.post(FORGOTTEN, {"email": user.email}).status_code for _ in range(14)]
    assert 429 in answers
    assert len(mail.outbox) <= 10, "at most two minutes' worth"


@pytest.mark.usefixtures("at_once")
def test_a_dead_mail_server_is_answered_alike(user: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert Client().post(FORGOTTEN, {"email": user.email})["Location"] == "/admin/password/sent/"
