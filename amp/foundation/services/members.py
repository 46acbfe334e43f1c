"""People in enterprises: who joins with which role, and who leaves (X2)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.access import ALLOWED, Action, may
from amp.foundation.models import Enterprise, Membership, Role, User
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Problem, Refused


class MemberRefused(Refused):
    """The person can't be added like this."""


def roles_granted_by(user: User, enterprise: Enterprise) -> list[Role]:
    """Roles that `user` may give in `enterprise`: those that allow nothing which the user may not do there."""
    own = {action for action in Action if may(user, action, enterprise)}
    return [role for role in Role if ALLOWED[role] <= own] if Action.MANAGE_MEMBERS in own else []


@transaction.atomic
def add_member(
    *,
    user_email: str,
    full_name: str,
    password: str | None,
    enterprise: Enterprise,
    role: Role,
    actor: str,
    now: datetime,
) -> User:
    """Give a person a role in an enterprise; a role held there before is replaced. Raises MemberRefused.

    Somebody new gets an account with `password` (None: can't sign in until one is set). The name and password of an
    existing account are left alone: they are not ours to change.
    """
    email = user_email.strip().lower()
    user = User.objects.filter(email=email).first() or _new_user(email, full_name.strip(), password, now)
    held = Membership.objects.select_for_update().filter(user=user, enterprise=enterprise).first()
    if held is None or held.role != role.value:
        Membership.objects.update_or_create(user=user, enterprise=enterprise, defaults={"role": role.value})
        _record("member.added", user, enterprise, held.role if held else None, role.value, actor, now)
    return user


@transaction.atomic
def remove_member(*, membership: Membership, actor: str, now: datetime) -> None:
    """Take a role away; it ends with the person's next request (F79)."""
    deleted, _rows = Membership.objects.filter(pk=membership.pk).delete()
    if deleted:
        _record("member.removed", membership.user, membership.enterprise, membership.role, None, actor, now)


def _new_user(email: str, full_name: str, password: str | None, now: datetime) -> User:
    user = User(email=email, full_name=full_name, created_at=now)
    problems = [*_email_problems(email), *_password_problems(password, user)]
    if len(full_name) > 120:
        problems.append(Problem("full_name", _("Give a name of at most 120 characters.")))
    if problems:
        raise MemberRefused(problems)
    return User.objects.create_user(email, password, full_name=full_name, created_at=now)


def _email_problems(email: str) -> list[Problem]:
    try:
        validate_email(email)
    except ValidationError:
        return [Problem("email", _("Give an e-mail address such as name@example.com."))]
    return []


def _password_problems(password: str | None, user: User) -> list[Problem]:
    try:
        if password is not None:
            validate_password(password, user)
    except ValidationError as weak:
        return [Problem("password", message) for message in weak.messages]
    return []


def _record(
    kind: str, user: User, enterprise: Enterprise, before: str | None, after: str | None, actor: str, now: datetime
) -> None:
    draft = EventDraft(
        kind=kind,
        subject=f"enterprise:{enterprise.pk}",
        enterprise_id=enterprise.pk,
        happened_at=now,
        actor=actor,
        before={"user": user.email, "role": before} if before else None,
        after={"user": user.email, "role": after} if after else None,
    )
    record_event(draft, now=now)
