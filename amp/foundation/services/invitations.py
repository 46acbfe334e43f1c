"""Inviting people by e-mail: a link that works once and for 72 hours of real time (X1)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise, Invitation, Membership, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.mail import send_mail
from amp.foundation.services.members import (
    MemberRefused,
    account_for,
    check_person,
    hold_enterprise,
    record_member,
    roles_granted_by,
)
from amp.foundation.services.passwords import PASSWORD_CHOSEN
from amp.foundation.services.refusals import Refused
from amp.foundation.services.second_factor import record_account

LIFETIME = timedelta(hours=72)


class InvitationRefused(Refused):
    """The invitation can't be made or taken like this."""


class Joined(NamedTuple):
    """Who joined, and whether the account was made by it: else its password is the one it had."""

    user: User
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Invitee:
    """Whom to invite, and as what; `language` is that of the mail."""

    email: str
    full_name: str
    enterprise: Enterprise
    role: Role
    language: str


def invite(*, invitee: Invitee, user: User, now: datetime, wall: datetime) -> Invitation:
    """Invite somebody, and send the mail once the row is there; an open invitation of the same person is void.

    What the mail became stands in `sent_at` or `send_failure`. Whether the address has an account elsewhere makes no
    difference here (F81). Raises MemberRefused.
    """
    token = secrets.token_urlsafe(32)
    invitation = _made(invitee, token, user, now, wall)
    return _mailed(invitation, token, wall)


def invite_again(*, invitation: Invitation, user: User, now: datetime, wall: datetime) -> Invitation:
    """A new link for the same person; the old one is void. Raises MemberRefused."""
    if invitation.accepted_at is not None:
        raise MemberRefused.because(_("This invitation was accepted already."))
    invitee = Invitee(
        email=invitation.email,
        full_name=invitation.full_name,
        enterprise=invitation.enterprise,
        role=Role(invitation.role),
        language=invitation.language,
    )
    return invite(invitee=invitee, user=user, now=now, wall=wall)


@transaction.atomic
def withdraw_invitation(*, invitation: Invitation, user: User, now: datetime, wall: datetime) -> None:
    """Void the link. Nothing happens where it was accepted or withdrawn already."""
    _void(invitation.enterprise, invitation.email, user.email, now, wall)


def open_invitation(*, token: str, wall: datetime) -> Invitation | None:
    """The invitation of a link that still works."""
    with system_scope():
        found: Invitation | None = (
            Invitation.objects.filter(token_hash=_hashed(token)).select_related("enterprise", "invited_by").first()
        )
    return found if found and found.is_open(wall) else None


def account_of(invitation: Invitation) -> User | None:
    """The account that the invited address has already."""
    return User.objects.filter(email=invitation.email).first()


@transaction.atomic
def accept_invitation(*, token: str, full_name: str, password: str | None, now: datetime, wall: datetime) -> Joined:
    """Join: somebody new with name and password, an existing account with its own (its password is not ours to set).

    Once: two clicks at the same moment join once; of two invitations of one new address that are taken at the same
    moment one makes the account, and the other finds it. Raises InvitationRefused, MemberRefused.
    """
    with system_scope():
        locked = Invitation.objects.select_for_update(of=("self",)).filter(token_hash=_hashed(token)).first()
        if locked is None or not locked.is_open(wall):
            raise InvitationRefused.because(_("This link was used, was replaced or has ended. Ask for a new one."))
        _check_inviter(locked)
        user, is_new = account_for(locked.email, full_name, password, locked.language, now)
        if not user.is_active:
            raise InvitationRefused.because(_("This account is switched off. Ask an administrator."))
        _join(locked, user, now)
        locked.accepted_at = wall
        locked.save(update_fields=["accepted_at"])
        if is_new and password is not None:
            record_account(PASSWORD_CHOSEN, user, user.email, now)
    return Joined(user, is_new)


def _made(invitee: Invitee, token: str, user: User, now: datetime, wall: datetime) -> Invitation:
    email = invitee.email.strip().lower()
    with transaction.atomic():
        hold_enterprise(invitee.enterprise)
        if invitee.role not in roles_granted_by(user, invitee.enterprise):
            raise MemberRefused.because(_("Choose a role that allows no more than your own."), "role")
        check_person(email, invitee.full_name)
        if Membership.objects.filter(user__email=email, enterprise=invitee.enterprise).exists():
            raise MemberRefused.because(_("This person is a member here already. Change the role instead."), "email")
        _void(invitee.enterprise, email, user.email, now, wall)
        made: Invitation = Invitation.objects.create(
            enterprise=invitee.enterprise,
            email=email,
            full_name=invitee.full_name.strip(),
            role=invitee.role.value,
            language=invitee.language,
            token_hash=_hashed(token),
            invited_by=user,
            created_at=now,
            expires_at=wall + LIFETIME,
        )
        record_member("member.invited", email, invitee.enterprise, None, invitee.role.value, user.email, now)
    return made


def _mailed(invitation: Invitation, token: str, wall: datetime) -> Invitation:
    """After the commit: a mail about a row that was rolled back would be a dead link."""
    context = {
        "invitation": invitation,
        "inviter": invitation.invited_by,
        "link": settings.BASE_URL + reverse("accounts:join", args=[token]),
        "hours": int(LIFETIME / timedelta(hours=1)),
    }
    failure = send_mail(to=invitation.email, template="invitation", language=invitation.language, context=context)
    invitation.sent_at, invitation.send_failure = None if failure else wall, failure
    invitation.save(update_fields=["sent_at", "send_failure"])
    return invitation


def _void(enterprise: Enterprise, email: str, actor: str, now: datetime, wall: datetime) -> None:
    waiting = Invitation.objects.filter(enterprise=enterprise, email=email, accepted_at=None, voided_at=None)
    for role in waiting.values_list("role", flat=True):
        record_member("member.invitation_voided", email, enterprise, role, None, actor, now)
    waiting.update(voided_at=wall)


def _check_inviter(invitation: Invitation) -> None:
    """Who has lost the right to give this role since gives it no more."""
    inviter = invitation.invited_by
    if inviter is None or Role(invitation.role) not in roles_granted_by(inviter, invitation.enterprise):
        raise InvitationRefused.because(_("Who invited you may not do so any more. Ask for a new invitation."))


def _join(invitation: Invitation, user: User, now: datetime) -> None:
    """A role that was given meanwhile stays."""
    _membership, is_new = Membership.objects.get_or_create(
        user=user, enterprise=invitation.enterprise, defaults={"role": invitation.role}
    )
    if is_new:
        record_member("member.added", user.email, invitation.enterprise, None, invitation.role, user.email, now)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
