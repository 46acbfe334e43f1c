"""The table of roles and actions, cell by cell, as the specification's roles and the product's pages need it (X2)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.admin import site
from django.test import Client, RequestFactory

from amp.foundation.access import ACTION_NAMES, ALLOWED, NEEDS_TOTP, Action, may
from amp.foundation.admin import MemberAdmin
from amp.foundation.models import Role
from amp.foundation.roles import roles_document
from amp.foundation.scoping import system_scope
from tests.factories import make_enterprise, make_member

DOCUMENT = Path(__file__).parents[2] / "docs" / "roles.md"
COLUMNS = (
    Role.PLATFORM_ADMINISTRATOR,
    Role.ACCOUNT_MANAGER,
    Role.ENTERPRISE_ADMINISTRATOR,
    Role.OPERATOR,
    Role.FINANCE,
    Role.READ_ONLY,
)
# Platform administrator, account manager, enterprise administrator, operator, finance, read only.
EXPECTED = {
    Action.VIEW: "yes yes yes yes yes yes",
    Action.EDIT_ENTERPRISE: "yes no yes no no no",
    Action.VERIFY_MERCHANT: "yes no yes no no no",
    Action.EDIT_CATALOG: "yes no yes no no no",
    Action.EDIT_RULE: "yes no yes no no no",
    Action.REGISTER_DEVICES: "yes no yes yes no no",
    Action.OPERATE_DEVICES: "yes no yes yes no no",
    Action.RELEASE_LOCKS: "yes no yes no no no",
    Action.RENEW: "yes no yes yes yes no",
    Action.CONFIRM_FREE_RENEWAL: "yes no yes no yes no",
    Action.RESOLVE_PAYMENTS: "yes no yes no yes no",
    Action.REFUND: "yes no yes no yes no",
    Action.APPROVE_REFUND: "yes no yes no yes no",
    Action.RECORD_TRANSFER: "yes no yes no yes no",
    Action.CONFIRM_TRANSFER: "yes no yes no yes no",
    Action.KEEP_BOOKS: "yes no yes no yes no",
    Action.MANAGE_MEMBERS: "yes no yes no no no",
    Action.MANAGE_API_KEYS: "yes no yes no no no",
    Action.MANAGE_WEBHOOKS: "yes no yes no no no",
    Action.OPERATE_PLATFORM: "yes no no no no no",
}
CELLS = [
    (role, action, cell == "yes")
    for action, row in EXPECTED.items()
    for role, cell in zip(COLUMNS, row.split(), strict=True)
]


def test_the_expected_table_names_every_role_and_every_action_X2() -> None:
    assert set(COLUMNS) == set(Role) == set(ALLOWED)
    assert set(EXPECTED) == set(Action) == set(ACTION_NAMES)
    assert len(CELLS) == len(Role) * len(Action)


@pytest.mark.django_db
def test_each_cell_is_what_a_member_of_that_role_may_do_X2() -> None:
    with system_scope():
        above = make_enterprise(merchant=False)
        place = make_enterprise(parent=above, merchant=False)
        below, beside = make_enterprise(parent=place, merchant=False), make_enterprise(parent=above, merchant=False)
        people = {role: make_member(place, role) for role in Role}
    for role, action, expected in CELLS:
        assert (may(people[role], action, place), may(people[role], action, below)) == (expected, expected), (
            role,
            action,
        )
        assert not may(people[role], action, above), (role, action)
        assert not may(people[role], action, beside), (role, action)


def test_administrators_and_finance_need_a_second_factor_X1() -> None:
    assert {Role.PLATFORM_ADMINISTRATOR, Role.ENTERPRISE_ADMINISTRATOR, Role.FINANCE} == NEEDS_TOTP


def test_the_document_is_what_the_code_says_X2() -> None:
    assert DOCUMENT.read_text() == roles_document(), "Write it anew: manage.py roles > docs/roles.md"
    assert DOCUMENT.read_text().count("\n|") == len(Action) + 3


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_every_member_can_read_the_table_X2(role: Role) -> None:
    with system_scope():
        member = make_member(make_enterprise(merchant=False), role)
    browser = Client()
    browser.force_login(member)
    page = browser.get("/admin/foundation/membership/roles/").content.decode()
    table = page[page.index("amp-matrix") :]
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', table, re.S)
    shown = [[cell == "yes" for cell in re.findall(r'aria-label="(yes|no)"', row)] for row in rows]
    assert shown[:-1] == [[expected for _role, each, expected in CELLS if each is action] for action in Action]


@pytest.mark.django_db
def test_who_may_see_a_list_is_decided_in_one_place_X2() -> None:
    """Each list names an action of the table; none decides by itself, and what asks for more is hidden from readers."""
    lists = {model.__name__: each for model, each in site._registry.items() if isinstance(each, MemberAdmin)}
    assert len(lists) > 20
    deciders = ("has_module_permission", "has_view_permission", "has_add_permission", "has_delete_permission")
    own = [f"{name}.{each}" for name in lists for each in deciders if each in _defined(type(lists[name]))]
    assert own == []
    reader = RequestFactory().get("/")
    with system_scope():
        reader.user = make_member(make_enterprise("Maker"), Role.READ_ONLY, email="eve@example.com")
    hidden = {name for name, each in lists.items() if not each.has_view_permission(reader)}
    assert hidden == {name for name, each in lists.items() if each.view_action is not Action.VIEW}
    assert hidden >= {"ApiKey", "Webhook", "WebhookDelivery", "MoneyEntry", "FapiaoRequest", "Bill", "BillRow"}


def _defined(admin: type) -> set[str]:
    """What the class and its mixins define, below the one that all share."""
    above = set(MemberAdmin.__mro__)
    return {name for each in admin.__mro__ if each not in above for name in vars(each)}
