"""The tree, its merchants and its members (E1, E2, F79)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from amp.foundation.access import Action, may, user_scope
from amp.foundation.models import Enterprise, Event, Membership, Merchant, MerchantStatus, Role
from amp.foundation.scoping import system_scope
from amp.foundation.services.enterprises import (
    EnterpriseRefused,
    MerchantRefused,
    create_enterprise,
    edit_enterprise,
    effective_merchant,
    effective_merchants,
    set_merchant,
    verify_merchant,
)
from amp.foundation.services.members import MemberRefused, add_member, remove_member, roles_granted_by
from tests.factories import NOW, PASSWORD, UserFactory, make_enterprise, make_member, make_merchant

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_a_child_lies_below_its_parent() -> None:
    root = make_enterprise("Root", merchant=False)
    child = make_enterprise("Child", parent=root, merchant=False)
    grandchild = make_enterprise("Grandchild", parent=child, merchant=False)
    assert grandchild.ancestor_ids == [root.pk, child.pk]
    assert set(Enterprise.objects.within(child)) == {child, grandchild}


def test_ids_that_start_alike_are_not_relatives() -> None:
    """`/1/` is no prefix of `/11/`."""
    roots = [make_enterprise(merchant=False) for _ in range(12)]
    assert all(list(Enterprise.objects.within(root)) == [root] for root in roots)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"currency": "XYZ"}, "currency"),
    ],
)
def test_a_bad_enterprise_is_refused_with_its_field(changes: dict[str, str], field: str) -> None:
    fields = {"name": "A", "time_zone": "Asia/Shanghai", "currency": "CNY", **changes}
    with pytest.raises(EnterpriseRefused) as refused:
        create_enterprise(parent=None, actor="test", now=NOW, **fields)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert not Enterprise.objects.exists()


def test_a_tree_too_deep_for_its_path_is_refused() -> None:
    root = make_enterprise(merchant=False)
    root.path = "/" + "1234567/" * 63
    with pytest.raises(EnterpriseRefused, match="too deep"):
        make_enterprise(parent=root, merchant=False)


def test_an_edit_is_recorded_with_before_and_after_and_none_is_not() -> None:
    enterprise = make_enterprise("Old", merchant=False)
    for _ in range(2):
        edit_enterprise(
            enterprise=enterprise, name="New", time_zone="Europe/Berlin", currency="EUR", actor="ann", now=LATER
        )
    event = Event.objects.get(kind="enterprise.edited", subject=f"enterprise:{enterprise.pk}")
    assert (event.before["name"], event.after["name"], event.actor) == ("Old", "New", "ann")


def test_the_first_merchant_sells_at_once() -> None:
    enterprise = make_enterprise(merchant=False)
    merchant = make_merchant(enterprise)
    assert merchant.status == MerchantStatus.VERIFIED.value
    assert effective_merchant(enterprise) == merchant


def test_a_changed_merchant_sells_only_after_another_administrator_verified_it() -> None:
    """E2: a change redirects money."""
    enterprise = make_enterprise()
    old = effective_merchant(enterprise)
    ann, ben = UserFactory(), UserFactory()
    draft = make_merchant(enterprise, user=ann)
    assert draft.status == MerchantStatus.DRAFT.value
    assert effective_merchant(enterprise) == old
    with pytest.raises(MerchantRefused, match="another administrator"):
        verify_merchant(merchant=draft, user=ann, now=LATER)
    assert effective_merchant(enterprise) == old
    verify_merchant(merchant=draft, user=ben, now=LATER)
    assert effective_merchant(enterprise) == draft
    assert Merchant.objects.get(pk=old.pk).status == MerchantStatus.RETIRED.value
    assert Event.objects.get(kind="merchant.verified").before["merchant_id"] == old.merchant_id


def test_what_is_verified_is_what_was_looked_at() -> None:
    """A draft swapped while the second administrator reads it isn't verified with his click."""
    enterprise = make_enterprise()
    ann, ben = UserFactory(), UserFactory()
    looked_at = make_merchant(enterprise, user=ann)
    make_merchant(enterprise, user=ann)
    with pytest.raises(MerchantRefused, match="changed meanwhile"):
        verify_merchant(merchant=looked_at, user=ben, now=LATER)


def test_a_new_draft_replaces_the_old_one_and_the_old_merchant_again_drops_it() -> None:
    enterprise = make_enterprise()
    verified = effective_merchant(enterprise)
    assert make_merchant(enterprise).pk == make_merchant(enterprise).pk
    again = set_merchant(
        enterprise=enterprise,
        name=verified.name,
        merchant_id=verified.merchant_id,
        user=UserFactory(),
        now=LATER,
    )
    assert again == verified
    assert not Merchant.objects.filter(status=MerchantStatus.DRAFT.value).exists()


@pytest.mark.parametrize("merchant_id", ["abc", "x" * 33, "mer chant", "mërchant", "abcd\n!"])
def test_a_malformed_merchant_id_is_refused(merchant_id: str) -> None:
    enterprise = make_enterprise(merchant=False)
    with pytest.raises(MerchantRefused):
        set_merchant(enterprise=enterprise, name="A", merchant_id=merchant_id, user=UserFactory(), now=NOW)


def test_the_database_refuses_a_second_verified_merchant() -> None:
    enterprise = make_enterprise()
    with pytest.raises(IntegrityError), transaction.atomic():
        Merchant.objects.create(
            enterprise=enterprise, name="B", merchant_id="BBBB", status=MerchantStatus.VERIFIED.value, created_at=NOW
        )


def test_a_child_sells_through_its_nearest_ancestor_that_has_a_merchant() -> None:
    """E1, and a sibling's merchant is nobody else's."""
    root = make_enterprise()
    middle = make_enterprise(parent=root, merchant=False)
    leaf = make_enterprise(parent=middle, merchant=False)
    sibling = make_enterprise(parent=root)
    alone = make_enterprise(merchant=False)
    found = effective_merchants([leaf, sibling, alone])
    assert found == {leaf.pk: effective_merchant(root), sibling.pk: effective_merchant(sibling)}
    own = make_merchant(middle)
    assert effective_merchant(leaf) == own


def test_a_member_sees_the_own_subtree_and_neither_parent_nor_sibling() -> None:
    root = make_enterprise()
    own = make_enterprise(parent=root)
    below = make_enterprise(parent=own)
    make_enterprise(parent=root)
    member = make_member(own)
    with user_scope(member):
        assert set(Enterprise.objects.all()) == {own, below}


def test_a_role_that_is_taken_away_is_gone_with_the_next_request() -> None:
    """F79."""
    enterprise = make_enterprise()
    member = make_member(enterprise, Role.OPERATOR)
    remove_member(membership=Membership.objects.get(user=member), actor="ann", now=LATER)
    fresh = type(member).objects.get(pk=member.pk)
    assert not may(fresh, Action.VIEW, enterprise)
    with user_scope(fresh):
        assert not Enterprise.objects.exists()


def test_an_existing_person_keeps_the_password_and_gets_the_new_role() -> None:
    first, second = make_enterprise(), make_enterprise()
    member = make_member(first, email="Ann@Example.com")
    again = add_member(
        user_email="ann@example.com",
        full_name="Mallory",
        password="another password 123",
        enterprise=second,
        role=Role.FINANCE,
        actor="test",
        now=NOW,
    )
    assert again == member
    assert again.check_password(PASSWORD)
    assert again.full_name == "Member"
    assert may(again, Action.RESOLVE_PAYMENTS, second)


def test_a_weak_password_and_a_broken_address_are_refused_together() -> None:
    with pytest.raises(MemberRefused) as refused:
        add_member(
            user_email="nobody",
            full_name="N",
            password="12345",
            enterprise=make_enterprise(),
            role=Role.OPERATOR,
            actor="test",
            now=NOW,
        )
    assert {problem.field for problem in refused.value.problems} == {"email", "password"}


def test_nobody_gives_a_role_that_allows_more_than_the_own_one() -> None:
    enterprise = make_enterprise()
    administrator = make_member(enterprise)
    assert Role.PLATFORM_ADMINISTRATOR not in roles_granted_by(administrator, enterprise)
    assert Role.ENTERPRISE_ADMINISTRATOR in roles_granted_by(administrator, enterprise)
    assert roles_granted_by(make_member(enterprise, Role.OPERATOR), enterprise) == []
