"""Staff are invited by e-mail: a link that works once, for 72 hours of real time (X1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import Enterprise, Event, Invitation, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.invitations import (
    InvitationRefused,
    Invitee,
    accept_invitation,
    invite,
    invite_again,
    open_invitation,
    withdraw_invitation,
)
from amp.foundation.services.members import MemberRefused, deactivate_user, remove_member
from tests.factories import NOW, PASSWORD, make_enterprise, make_member
from tests.services.staff import last_mail, link_in

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "a brand new passphrase"


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def admin() -> User:
    return make_member(make_enterprise("Maker", merchant=False))


def home(user: User) -> Enterprise:
    return user.memberships.get().enterprise


def invited(
    admin: User, role: Role = Role.OPERATOR, email: str = "New@Person.example", language: str = "en", **later: timedelta
) -> tuple[Invitation, str]:
    """The invitation, and the token that its mail brought."""
    invitee = Invitee(email=email, full_name="New Person", enterprise=home(admin), role=role, language=language)
    made = invite(invitee=invitee, user=admin, now=NOW, wall=clock.wall() - later.get("ago", timedelta()))
    return made, link_in(last_mail()).split("/")[3]


def join(token: str, **form: str) -> Any:
    given = {"full_name": "Ann", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD, **form}
    return Client().post(f"/admin/join/{token}/", given)


def kinds() -> list[str]:
    return list(Event.objects.filter(kind__startswith="member.").order_by("id").values_list("kind", flat=True))


def test_the_link_of_the_mail_makes_an_account_with_the_role_X1(admin: User) -> None:
    made, token = invited(admin)
    assert (made.email, made.sent_at is not None, made.send_failure) == ("new@person.example", True, "")
    page = Client().get(f"/admin/join/{token}/").content.decode()
    assert "Join Maker" in page
    assert "Operator" in page
    browser = Client()
    answer = browser.post(
        f"/admin/join/{token}/",
        {"full_name": "Ann", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD},
    )
    assert answer["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200
    user = User.objects.get(email="new@person.example")
    assert (user.full_name, user.check_password(NEW_PASSWORD)) == ("Ann", True)
    assert [(each.enterprise, each.role) for each in user.memberships.all()] == [(home(admin), Role.OPERATOR.value)]
    assert kinds()[-2:] == ["member.invited", "member.added"]


def test_the_token_is_kept_as_a_hash_only_X1(admin: User) -> None:
    made, token = invited(admin)
    assert len(token) >= 43
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(i)::text FROM foundation_invitation i WHERE id = %s", [made.pk])
        (row,) = cursor.fetchone()
    assert token not in row
    assert made.token_hash in row


def test_the_link_works_once_X1(admin: User) -> None:
    _made, token = invited(admin)
    assert join(token).status_code == 302
    assert Client().get(f"/admin/join/{token}/").status_code == 410
    assert join(token).status_code == 410
    with pytest.raises(InvitationRefused):
        accept_invitation(token=token, full_name="", password=NEW_PASSWORD, now=NOW, wall=clock.wall())


@pytest.mark.parametrize(("ago", "works"), [(timedelta(hours=71, minutes=59), True), (timedelta(hours=72), False)])
def test_the_link_ends_after_72_hours_of_real_time_X1(admin: User, ago: timedelta, works: bool) -> None:
    """NOW, the product's time, is months ago: it doesn't count."""
    _made, token = invited(admin, ago=ago)
    assert join(token).status_code == (302 if works else 410)


def test_inviting_again_voids_the_old_link_X1(admin: User) -> None:
    made, first = invited(admin)
    again = invite_again(invitation=made, user=admin, now=NOW, wall=clock.wall())
    second = link_in(last_mail()).split("/")[3]
    assert (join(first).status_code, join(second).status_code) == (410, 302)
    assert Invitation.objects.filter(email=again.email, voided_at=None).count() == 1
    with pytest.raises(MemberRefused):
        invite_again(invitation=Invitation.objects.get(pk=again.pk), user=admin, now=NOW, wall=clock.wall())


def test_a_withdrawn_invitation_lets_nobody_in(admin: User) -> None:
    made, token = invited(admin)
    withdraw_invitation(invitation=made, user=admin, now=NOW, wall=clock.wall())
    assert join(token).status_code == 410
    assert kinds()[-1] == "member.invitation_voided"


@pytest.mark.parametrize("token", ["x", "x" * 400, "%00", "é", "..", "%F0%9F%98%80"])
def test_any_other_link_is_gone_alike(token: str) -> None:
    assert Client().get(f"/admin/join/{token}/").status_code in {404, 410}


def test_nobody_invites_to_a_role_above_the_own_X2(admin: User) -> None:
    with pytest.raises(MemberRefused, match="no more than your own"):
        invited(admin, Role.PLATFORM_ADMINISTRATOR)
    operator = make_member(home(admin), Role.OPERATOR)
    for role in Role:
        invitee = Invitee(email="x@example.com", full_name="", enterprise=home(admin), role=role, language="en")
        with pytest.raises(MemberRefused):
            invite(invitee=invitee, user=operator, now=NOW, wall=clock.wall())
    assert not mail.outbox


def test_an_invitation_ends_with_the_right_of_who_made_it_F79(admin: User) -> None:
    _made, token = invited(admin)
    make_member(home(admin))
    remove_member(membership=admin.memberships.get(), actor="test", now=NOW)
    assert "may not do so any more" in join(token).content.decode()
    assert not User.objects.filter(email="new@person.example").exists()


def test_an_account_from_elsewhere_joins_with_its_own_password_and_the_inviter_learns_nothing_F81(admin: User) -> None:
    stranger = make_member(make_enterprise(merchant=False), Role.FINANCE)
    made, token = invited(admin, email=stranger.email)
    unknown, _token = invited(admin)
    assert (made.send_failure, made.sent_at is None) == (unknown.send_failure, unknown.sent_at is None)
    browser = Client()
    assert "Its password stays" in browser.get(f"/admin/join/{token}/").content.decode()
    answer = browser.post(
        f"/admin/join/{token}/", {"new_password1": "taken over 12345", "new_password2": "taken over 12345"}
    )
    assert answer["Location"] == "/admin/login/"
    assert browser.get("/admin/").status_code == 302, "a link in a mail signs nobody in to an existing account"
    stranger.refresh_from_db()
    assert stranger.check_password(PASSWORD)
    assert stranger.memberships.count() == 2


def test_an_account_that_is_off_stays_off(admin: User) -> None:
    colleague = make_member(home(admin), Role.OPERATOR)
    below = make_enterprise(parent=home(admin), merchant=False)
    invitee = Invitee(email=colleague.email, full_name="", enterprise=below, role=Role.OPERATOR, language="en")
    invite(invitee=invitee, user=admin, now=NOW, wall=clock.wall())
    deactivate_user(person=colleague, user=admin, now=NOW)
    assert "switched off" in join(link_in(last_mail()).split("/")[3]).content.decode()


def test_a_member_is_not_invited_once_more(admin: User) -> None:
    with pytest.raises(MemberRefused, match="member here already"):
        invited(admin, email=admin.email.upper())


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@c.de", "a@c.de\nBcc: x@y.de", "x" * 250 + "@example.com"])
def test_an_address_that_is_none_is_refused(admin: User, email: str) -> None:
    with pytest.raises(MemberRefused) as refused:
        invited(admin, email=email)
    assert refused.value.problems[0].field == "email"
    assert not mail.outbox


def test_a_weak_password_is_refused_and_the_link_still_works(admin: User) -> None:
    _made, token = invited(admin)
    answer = join(token, new_password1="password", new_password2="password")
    assert answer.status_code == 200
    assert "too common" in answer.content.decode() or "too short" in answer.content.decode()
    assert join(token).status_code == 302


def test_the_mail_speaks_the_persons_language_in_text_and_html_X1(admin: User) -> None:
    invited(admin, language="zh-hans")
    message = last_mail()
    html = message.alternatives[0][0]
    assert 'lang="zh-hans"' in html
    assert link_in(message) in html
    assert message.to == ["new@person.example"]
    assert User.objects.filter(email="new@person.example").count() == 0


def test_names_in_a_mail_are_text_not_markup_F91() -> None:
    admin = make_member(make_enterprise("<b>&co", merchant=False))
    invited(admin)
    message = last_mail()
    assert "<b>&co" in message.subject
    assert "<b>&co" in message.body
    assert "&lt;b&gt;&amp;co" in message.alternatives[0][0]


def test_a_dead_mail_server_keeps_the_invitation_and_says_so_X1(admin: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    browser = Client()
    browser.force_login(admin)
    form = {
        "email": "new@person.example",
        "full_name": "",
        "enterprise": home(admin).pk,
        "role": Role.OPERATOR.value,
        "language": "en",
    }
    page = browser.post("/admin/foundation/invitation/add/", form, follow=True).content.decode()
    assert "could not be sent" in page
    assert "Mail failed" in page
    made = Invitation.objects.get()
    assert made.sent_at is None
    assert "refused" in made.send_failure.lower()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    browser.post(f"/admin/foundation/invitation/{made.pk}/again/")
    newest = Invitation.objects.latest("id")
    assert newest.sent_at is not None
    assert not newest.send_failure
    assert open_invitation(token=link_in(last_mail()).split("/")[3], wall=clock.wall()) == newest


def test_links_come_from_the_configured_address_F96(admin: User, settings: Any) -> None:
    settings.BASE_URL = "https://amp.example.com"
    browser = Client()
    browser.force_login(admin)
    form = {"email": "a@b.example", "enterprise": home(admin).pk, "role": Role.READ_ONLY.value, "language": "en"}
    browser.post("/admin/foundation/invitation/add/", form, headers={"host": "localhost"})
    assert "https://amp.example.com/admin/join/" in last_mail().body
