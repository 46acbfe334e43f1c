"""Who may: one table of roles and actions (X2), and the scope that a user's memberships give (E1)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise, Membership, Role, User
from amp.foundation.scoping import enterprise_scope, system_scope


class Action(StrEnum):
    """What a member may be allowed to do in the subtree of the enterprise."""

    VIEW = "view"
    EDIT_ENTERPRISE = "edit_enterprise"
    VERIFY_MERCHANT = "verify_merchant"
    EDIT_CATALOG = "edit_catalog"
    EDIT_RULE = "edit_rule"
    REGISTER_DEVICES = "register_devices"
    OPERATE_DEVICES = "operate_devices"
    RELEASE_LOCKS = "release_locks"
    RENEW = "renew"
    CONFIRM_FREE_RENEWAL = "confirm_free_renewal"
    RESOLVE_PAYMENTS = "resolve_payments"
    REFUND = "refund"
    APPROVE_REFUND = "approve_refund"
    RECORD_TRANSFER = "record_transfer"
    CONFIRM_TRANSFER = "confirm_transfer"
    KEEP_BOOKS = "keep_books"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_API_KEYS = "manage_api_keys"
    MANAGE_WEBHOOKS = "manage_webhooks"
    OPERATE_PLATFORM = "operate_platform"


ACTION_NAMES = {
    Action.VIEW: _("See everything of the enterprise"),
    Action.EDIT_ENTERPRISE: _("Edit the enterprise and set its merchant"),
    Action.VERIFY_MERCHANT: _("Verify a change of the merchant"),
    Action.EDIT_CATALOG: _("Edit products, TSL and plans"),
    Action.EDIT_RULE: _("Edit the rules of device services"),
    Action.REGISTER_DEVICES: _("Register devices and issue their credentials"),
    Action.OPERATE_DEVICES: _("Send commands to devices, transfer and end services"),
    Action.RELEASE_LOCKS: _("Release or cancel locks that a brake holds"),
    Action.RENEW: _("Renew device services"),
    Action.CONFIRM_FREE_RENEWAL: _("Confirm renewals that cost nothing"),
    Action.RESOLVE_PAYMENTS: _("Resolve payment exceptions"),
    Action.REFUND: _("Ask for refunds"),
    Action.APPROVE_REFUND: _("Approve refunds that somebody else has asked for"),
    Action.RECORD_TRANSFER: _("Record bank transfers that came in or were paid out"),
    Action.CONFIRM_TRANSFER: _("Confirm bank transfers that somebody else has recorded"),
    Action.KEEP_BOOKS: _("See totals and the money ledger, issue fapiao, compare gateways' bills"),
    Action.MANAGE_MEMBERS: _("Invite, change and remove members"),
    Action.MANAGE_API_KEYS: _("Issue and revoke API keys"),
    Action.MANAGE_WEBHOOKS: _("Set up webhooks and see what they were sent"),
    Action.OPERATE_PLATFORM: _("See and steer the platform's operations"),
}
"""What each action means to people; it stands on the page of roles and in docs/roles.md."""

NEEDS_TOTP = frozenset({Role.PLATFORM_ADMINISTRATOR, Role.ENTERPRISE_ADMINISTRATOR, Role.FINANCE})
"""Roles that sign in with a second factor (X1)."""
_EVERYTHING = frozenset(Action)
ALLOWED: dict[Role, frozenset[Action]] = {
    Role.PLATFORM_ADMINISTRATOR: _EVERYTHING,
    Role.ACCOUNT_MANAGER: frozenset({Action.VIEW}),
    Role.ENTERPRISE_ADMINISTRATOR: _EVERYTHING - {Action.OPERATE_PLATFORM},
    Role.OPERATOR: frozenset({Action.VIEW, Action.REGISTER_DEVICES, Action.OPERATE_DEVICES, Action.RENEW}),
    Role.FINANCE: frozenset(
        {
            Action.VIEW,
            Action.RENEW,
            Action.CONFIRM_FREE_RENEWAL,
            Action.RESOLVE_PAYMENTS,
            Action.REFUND,
            Action.APPROVE_REFUND,
            Action.RECORD_TRANSFER,
            Action.CONFIRM_TRANSFER,
            Action.KEEP_BOOKS,
        }
    ),
    Role.READ_ONLY: frozenset({Action.VIEW}),
}


class NotAllowed(Exception):
    """The user's roles don't include the action for that enterprise."""


def may(user: User | AnonymousUser, action: Action, enterprise: Enterprise) -> bool:
    """True where a membership of the user at or above `enterprise` has a role that includes `action`."""
    line = {*enterprise.ancestor_ids, enterprise.pk}
    return include((each.role for each in _memberships(user) if each.enterprise_id in line), action)


def include(roles: Iterable[str], action: Action) -> bool:
    """True where one of these roles includes `action`."""
    return any(action in ALLOWED[Role(role)] for role in roles)


def may_anywhere(user: User | AnonymousUser, action: Action) -> bool:
    """True where any membership includes `action`: decides whether a menu entry or a button shows."""
    return include((each.role for each in _memberships(user)), action)


def require(user: User, action: Action, enterprise: Enterprise) -> None:
    """Raise NotAllowed unless `may(…)`."""
    if not may(user, action, enterprise):
        raise NotAllowed(f"Your role in {enterprise} does not include “{action.value.replace('_', ' ')}”.")


def must_use_totp(user: User | AnonymousUser) -> bool:
    """True where a role of the user needs a second factor, in an installation that asks for it (X1)."""
    return settings.REQUIRE_TOTP and any(Role(each.role) in NEEDS_TOTP for each in _memberships(user))


def visible_enterprises(user: User) -> tuple[list[int], list[int]]:
    """Ids of the enterprises whose rows the user may see, and of their ancestors; read anew at each request (F79)."""
    roots = [membership.enterprise for membership in _memberships(user)]
    with system_scope():
        own = {pk for root in roots for pk in Enterprise.objects.within(root).values_list("id", flat=True)}
    ancestors = {pk for root in roots for pk in root.ancestor_ids} - own
    return sorted(own), sorted(ancestors)


def enterprises_where(user: User, action: Action) -> list[int]:
    """Ids of the enterprises in which the user's roles include `action`."""
    roots = [each.enterprise for each in _memberships(user) if action in ALLOWED[Role(each.role)]]
    with system_scope():
        return sorted({pk for root in roots for pk in Enterprise.objects.within(root).values_list("id", flat=True)})


def user_scope(user: User) -> AbstractContextManager[None]:
    """The scope of one user: what the memberships reach, nothing for a user without any."""
    own, ancestors = visible_enterprises(user)
    return enterprise_scope(own, ancestors)


def reading_zone(user: User) -> str:
    """The time zone in which a member reads lists: that of the topmost enterprise where the user has a role."""
    home = home_enterprise(user)
    return home.time_zone if home else "UTC"


def home_enterprise(user: User) -> Enterprise | None:
    """The topmost enterprise where the user has a role: what the user's own acts belong to; None without a role."""
    places = sorted((membership.enterprise for membership in _memberships(user)), key=lambda place: place.depth)
    return places[0] if places else None


def _memberships(user: User | AnonymousUser) -> Iterable[Membership]:
    """Memberships with their enterprises, read once per user object (one request)."""
    if not isinstance(user, User) or not user.is_active:
        return []
    cached: list[Membership] | None = getattr(user, "_memberships", None)
    if cached is None:
        with system_scope():
            cached = list(Membership.objects.filter(user=user).select_related("enterprise"))
        user._memberships = cached  # type: ignore[attr-defined]
    return cached
