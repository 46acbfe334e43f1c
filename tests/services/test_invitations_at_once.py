"""Invitations that are taken at the same moment (X1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import Event, Membership, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services import invitations, members
from amp.foundation.services.invitations import InvitationRefused, Invitee, accept_invitation, invite
from tests.factories import NOW, make_enterprise, make_member
from tests.services.staff import last_mail, link_in
from tests.services.test_invitations import NEW_PASSWORD, home, invited

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def admin() -> User:
    return make_member(make_enterprise("Maker", merchant=False))


def test_two_clicks_at_the_same_moment_join_once_X1(admin: User) -> None:
    _made, token = invited(admin)
    done: list[str] = []
    gate = threading.Barrier(2)

    def accept() -> None:
        gate.wait(30)
        try:
            accept_invitation(token=token, full_name="A", password=NEW_PASSWORD, now=NOW, wall=clock.wall())
            done.append("joined")
        except InvitationRefused:
            done.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=accept) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == ["joined", "refused"]
    assert Membership.objects.filter(user__email="new@person.example").count() == 1


def doubly_invited(admin: User) -> list[str]:
    """Links of two enterprises to one address that has no account."""
    _made, first = invited(admin)
    below = make_enterprise(parent=home(admin), merchant=False)
    invitee = Invitee(email="new@person.example", full_name="", enterprise=below, role=Role.READ_ONLY, language="en")
    invite(invitee=invitee, user=admin, now=NOW, wall=clock.wall())
    return [first, link_in(last_mail()).split("/")[3]]


@pytest.mark.parametrize("is_guarded", [True, False])
def test_two_invitations_of_one_new_address_at_once_make_one_account(
    admin: User, is_guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked for the account before either is made. Without the guard the second fails: the control."""
    tokens, gate, answers = doubly_invited(admin), threading.Barrier(2), []
    make = members.make_user

    def meet(*given: Any) -> User:
        gate.wait(30)
        return make(*given)

    def unguarded(*given: Any) -> tuple[User, bool]:
        return members.make_user(*given), True

    monkeypatch.setattr(members, "make_user", meet)
    if not is_guarded:
        monkeypatch.setattr(invitations, "account_for", unguarded)

    def accept(token: str, password: str) -> None:
        browser = Client(raise_request_exception=False)
        form = {"full_name": "New Person", "new_password1": password, "new_password2": password}
        answers.append((browser.post(f"/admin/join/{token}/", form), browser, password))
        connection.close()

    threads = [
        threading.Thread(target=accept, args=(token, f"{NEW_PASSWORD} {number}")) for number, token in enumerate(tokens)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    statuses = sorted(answer.status_code for answer, _browser, _password in answers)
    if not is_guarded:
        assert statuses == [302, 500]
        return
    assert statuses == [302, 302]
    assert {answer["Location"] for answer, _browser, _password in answers} == {"/admin/", "/admin/login/"}
    user = User.objects.get(email="new@person.example")
    assert user.memberships.count() == 2
    for answer, browser, password in answers:
        is_winner = answer["Location"] == "/admin/"
        assert user.check_password(password) is is_winner
        assert ("_auth_user_id" in browser.session) is is_winner, "nobody gets a session by a password that isn't set"
    assert Event.objects.filter(kind="user.password_chosen", subject=f"user:{user.pk}").count() == 1
