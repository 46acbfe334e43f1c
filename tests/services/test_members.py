"""Members of enterprises: who sees them, who changes them, and what nobody may do (X1, X2, E1, F79, F84)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Enterprise, Event, Membership, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.members import MemberRefused, change_role, deactivate_user, may_govern, remove_member
from tests.factories import NOW, PASSWORD, make_enterprise, make_member
from tests.services.staff import enrolled, sign_in

pytestmark = pytest.mark.django_db
LIST = "/admin/foundation/membership/"


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def tree() -> tuple[Enterprise, Enterprise, Enterprise, Enterprise]:
    """The platform, a maker below it, a dealer below the maker, and another maker."""
    platform = make_enterprise("Platform", merchant=False)
    maker = make_enterprise("Maker", parent=platform, merchant=False)
    dealer = make_enterprise("Dealer", parent=maker, merchant=False)
    return platform, maker, dealer, make_enterprise("Other", parent=platform, merchant=False)


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def role_of(user: User, enterprise: Enterprise) -> Membership:
    return Membership.objects.get(user=user, enterprise=enterprise)


def post(user: User, member: Membership, verb: str, **form: str) -> Any:
    return browser_of(user).post(f"{LIST}{member.pk}/{verb}/", form, follow=True)


def test_the_list_shows_the_own_enterprise_and_those_below_only_E1(tree: Any) -> None:
    platform, maker, dealer, other = tree
    root = make_member(platform, Role.PLATFORM_ADMINISTRATOR, email="root@example.com")
    admin = make_member(maker, email="maker@example.com")
    make_member(dealer, email="dealer@example.com")
    make_member(other, email="other@example.com")
    seen = browser_of(admin).get(LIST).content.decode()
    assert "maker@example.com" in seen
    assert "dealer@example.com" in seen
    assert "other@example.com" not in seen
    assert "root@example.com" not in seen
    everybody = browser_of(root).get(LIST).content.decode()
    assert all(name in everybody for name in ("maker@", "dealer@", "other@", "root@"))
    assert "other@" not in browser_of(admin).get(f"{LIST}?q=other").content.decode()


def test_members_of_others_answer_as_missing_ones_F71_F78(tree: Any) -> None:
    platform, maker, _dealer, other = tree
    admin = make_member(maker)
    make_member(other)
    for stranger in (role_of(make_member(other), other), role_of(make_member(platform, Role.READ_ONLY), platform)):
        assert browser_of(admin).get(f"{LIST}{stranger.pk}/change/").status_code == 404
        for verb in ("remove", "switch", "totp"):
            assert post(admin, stranger, verb).status_code == 404
        stranger.refresh_from_db()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.FINANCE, Role.READ_ONLY, Role.ACCOUNT_MANAGER])
def test_only_administrators_change_members_X2(tree: Any, role: Role) -> None:
    _platform, maker, _dealer, _other = tree
    make_member(maker)
    colleague = role_of(make_member(maker, Role.READ_ONLY), maker)
    user = make_member(maker, role)
    page = browser_of(user).get(f"{LIST}{colleague.pk}/change/")
    assert page.status_code == 200
    assert "Remove from the enterprise" not in page.content.decode()
    for verb in ("remove", "switch", "totp", "change"):
        assert post(user, colleague, verb, role=Role.FINANCE.value).status_code == 403
    assert browser_of(user).get("/admin/foundation/invitation/add/").status_code == 403
    colleague.refresh_from_db()
    assert colleague.role == Role.READ_ONLY.value


def test_a_role_is_changed_on_the_members_page_and_recorded(tree: Any) -> None:
    _platform, maker, _dealer, _other = tree
    admin, member = make_member(maker), role_of(make_member(maker, Role.READ_ONLY), maker)
    assert "Saved." in post(admin, member, "change", role=Role.FINANCE.value).content.decode()
    event = Event.objects.get(kind="member.role_changed")
    assert (event.before["role"], event.after["role"], event.actor) == ("READ_ONLY", "FINANCE", admin.email)
    assert event.enterprise_id == maker.pk


@pytest.mark.parametrize("role", ["PLATFORM_ADMINISTRATOR", "KING", "", "\0"])
def test_nobody_raises_anybody_above_the_own_role_X2(tree: Any, role: str) -> None:
    _platform, maker, _dealer, _other = tree
    admin = make_member(maker)
    make_member(maker)
    own = role_of(admin, maker)
    assert post(admin, own, "change", role=role).status_code == 200
    own.refresh_from_db()
    assert own.role == Role.ENTERPRISE_ADMINISTRATOR.value
    with pytest.raises(MemberRefused):
        change_role(membership=own, role=Role.PLATFORM_ADMINISTRATOR, user=admin, now=NOW)


def test_a_platform_administrator_is_changed_by_platform_administrators_only_X2(tree: Any) -> None:
    platform, _maker, _dealer, _other = tree
    make_member(platform, Role.PLATFORM_ADMINISTRATOR)
    root = make_member(platform, Role.PLATFORM_ADMINISTRATOR)
    admin = make_member(platform)
    make_member(platform)
    held = role_of(root, platform)
    with pytest.raises(MemberRefused):
        change_role(membership=held, role=Role.READ_ONLY, user=admin, now=NOW)
    assert not may_govern(admin, root)
    assert "Remove from the enterprise" not in browser_of(admin).get(f"{LIST}{held.pk}/change/").content.decode()
    for verb in ("remove", "switch", "totp"):
        post(admin, held, verb)
    held.refresh_from_db()
    root.refresh_from_db()
    assert root.is_active
    other_root = User.objects.filter(memberships__role=Role.PLATFORM_ADMINISTRATOR.value).exclude(pk=root.pk).get()
    post(other_root, held, "remove")
    assert not Membership.objects.filter(pk=held.pk).exists()


def test_the_last_administrator_of_an_enterprise_stays(tree: Any) -> None:
    platform, maker, _dealer, _other = tree
    root = make_member(platform, Role.PLATFORM_ADMINISTRATOR)
    last = make_member(maker)
    held = role_of(last, maker)
    for change in (
        lambda: remove_member(membership=held, actor="test", now=NOW),
        lambda: change_role(membership=held, role=Role.READ_ONLY, user=root, now=NOW),
        lambda: deactivate_user(person=last, user=root, now=NOW),
    ):
        with pytest.raises(MemberRefused, match="last one here"):
            change()
    make_member(maker)
    remove_member(membership=held, actor="test", now=NOW)
    assert not Membership.objects.filter(pk=held.pk).exists()


def test_who_became_the_last_administrator_since_the_look_stays_too() -> None:
    with system_scope():
        place = make_enterprise(merchant=False)
        person = make_member(place, Role.OPERATOR)
        looked_at = Membership.objects.select_related("user", "enterprise").get(user=person)
        Membership.objects.filter(user=person).update(role=Role.ENTERPRISE_ADMINISTRATOR.value)
        with pytest.raises(MemberRefused, match="last one here"):
            remove_member(membership=looked_at, actor="a@example.com", now=NOW)
        assert Membership.objects.filter(user=person).exists()


def test_somebody_switched_off_does_not_count_as_the_other_administrator(tree: Any) -> None:
    platform, maker, _dealer, _other = tree
    root = make_member(platform, Role.PLATFORM_ADMINISTRATOR)
    off, last = make_member(maker), make_member(maker)
    deactivate_user(person=off, user=root, now=NOW)
    with pytest.raises(MemberRefused, match="last one here"):
        remove_member(membership=role_of(last, maker), actor="test", now=NOW)


def test_a_switched_off_account_is_out_with_the_next_request_and_cannot_sign_in_X1_F84(tree: Any) -> None:
    _platform, maker, _dealer, _other = tree
    admin, person = make_member(maker), make_member(maker, Role.OPERATOR)
    session = sign_in(person)
    assert session.get("/admin/").status_code == 200
    page = post(admin, role_of(person, maker), "switch").content.decode()
    assert "is off" in page
    assert session.get("/admin/").status_code == 302
    assert sign_in(person).get("/admin/").status_code == 302
    assert Event.objects.filter(kind="user.deactivated", enterprise=maker).count() == 1
    post(admin, role_of(person, maker), "switch")
    assert sign_in(person).get("/admin/").status_code == 200


def test_nobody_switches_off_the_own_account_or_one_with_roles_elsewhere(tree: Any) -> None:
    platform, maker, _dealer, other = tree
    make_member(platform, Role.PLATFORM_ADMINISTRATOR)
    admin, person = make_member(maker), make_member(maker, Role.OPERATOR)
    Membership.objects.create(user=person, enterprise=other, role=Role.OPERATOR.value)
    with pytest.raises(MemberRefused, match="own account"):
        deactivate_user(person=admin, user=admin, now=NOW)
    with pytest.raises(MemberRefused, match="don't administer"):
        deactivate_user(person=person, user=admin, now=NOW)
    page = browser_of(admin).get(f"{LIST}{role_of(person, maker).pk}/change/").content.decode()
    assert "Switch the account off" not in page
    assert "Other" not in page, "roles elsewhere are nobody's business here (R6)"


def test_a_lost_authenticator_is_reset_by_an_administrator_and_recorded_X1(tree: Any, settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    _platform, maker, _dealer, _other = tree
    admin, person = make_member(maker), make_member(maker, Role.FINANCE)
    session, boss = enrolled(person), enrolled(admin)
    assert session.get("/admin/").status_code == 200
    boss.post(f"{LIST}{role_of(person, maker).pk}/totp/")
    assert session.get("/admin/")["Location"].startswith("/admin/sign-in/enrol/")
    event = Event.objects.get(kind="user.totp_reset")
    assert (event.actor, event.after, event.enterprise_id) == (admin.email, {"user": person.email}, maker.pk)


def test_state_changes_take_a_post_F95(tree: Any) -> None:
    _platform, maker, _dealer, _other = tree
    admin, member = make_member(maker), role_of(make_member(maker, Role.OPERATOR), maker)
    browser = browser_of(admin)
    for verb in ("remove", "switch", "totp"):
        assert browser.get(f"{LIST}{member.pk}/{verb}/").status_code == 405
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin)
    assert careful.post(f"{LIST}{member.pk}/remove/").status_code == 403
    assert Membership.objects.filter(pk=member.pk).exists()


def test_the_lists_cost_the_same_with_many_rows(tree: Any) -> None:
    _platform, maker, _dealer, _other = tree
    browser = browser_of(make_member(maker))

    def cost(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(address).status_code == 200
        return len(queries)

    addresses = (LIST, "/admin/foundation/invitation/")
    few = [cost(address) for address in addresses]
    for _ in range(5):
        make_member(maker, Role.OPERATOR)
    assert [cost(address) for address in addresses] == few
    assert max(few) <= 9, few


def test_password_is_kept_out_of_the_pages(tree: Any) -> None:
    _platform, maker, _dealer, _other = tree
    admin = make_member(maker)
    page = browser_of(admin).get(f"{LIST}{role_of(admin, maker).pk}/change/").content.decode()
    assert PASSWORD not in page
    assert "pbkdf2" not in page
