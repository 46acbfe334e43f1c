"""People in enterprises: who joins with which role, and who leaves (X2)."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from amp.foundation.access import ALLOWED, Action, may
from amp.foundation.models import Enterprise, Membership, Role, User
from amp.foundation.services.events import record_about
from amp.foundation.services.passwords import PASSWORD_CHOSEN
from amp.foundation.services.refusals import Problem, Refused
from amp.foundation.services.second_factor import forget_second_factor, record_account

MAX_EMAIL = 254
KEEPERS = frozenset({Role.PLATFORM_ADMINISTRATOR, Role.ENTERPRISE_ADMINISTRATOR})
"""Of these, an enterprise that has one keeps one: else nobody there could let anybody in."""


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
    user, is_new = account_for(email, full_name, password, settings.LANGUAGE_CODE, now)
    held = Membership.objects.select_for_update().filter(user=user, enterprise=enterprise).first()
    if held is None or held.role != role.value:
        Membership.objects.update_or_create(user=user, enterprise=enterprise, defaults={"role": role.value})
        record_member("member.added", email, enterprise, held.role if held else None, role.value, actor, now)
    if is_new and password is not None:
        record_account(PASSWORD_CHOSEN, user, actor, now)
    return user


def account_for(email: str, full_name: str, password: str | None, language: str, now: datetime) -> tuple[User, bool]:
    """The account of an address, made where there is none; whether it was made. Raises MemberRefused.

    Two at the same moment get the same account: the second waits for the first, and finds what it made.
    """
    if (known := User.objects.filter(email=email).first()) is not None:
        return known, False
    try:
        with transaction.atomic():
            return make_user(email, full_name, password, language, now), True
    except IntegrityError:
        return User.objects.get(email=email), False


@transaction.atomic
def remove_member(*, membership: Membership, actor: str, now: datetime) -> None:
    """Take a role away; it ends with the person's next request (F79). Raises MemberRefused for the last keeper."""
    hold_enterprise(membership.enterprise)
    held = Membership.objects.select_related("user").filter(pk=membership.pk).first()
    if held is None:
        return
    _keep_one(held)  # as the role is now: it may have been raised since the caller looked
    held.delete()
    record_member("member.removed", held.user.email, membership.enterprise, held.role, None, actor, now)


@transaction.atomic
def change_role(*, membership: Membership, role: Role, user: User, now: datetime) -> None:
    """Give another role, which takes effect with the person's next request (F79). Raises MemberRefused.

    Neither the old role nor the new one may allow what `user` may not do: nobody raises or lowers somebody above.
    """
    hold_enterprise(membership.enterprise)
    held = Membership.objects.select_for_update(of=("self",)).select_related("user").get(pk=membership.pk)
    granted = roles_granted_by(user, membership.enterprise)
    if Role(held.role) not in granted or role not in granted:
        raise MemberRefused.because(_("Choose a role that allows no more than your own."), "role")
    if held.role == role.value:
        return
    _keep_one(held)
    before, held.role = held.role, role.value
    held.save(update_fields=["role"])
    record_member("member.role_changed", held.user.email, membership.enterprise, before, role.value, user.email, now)


def may_govern(user: User, person: User) -> bool:
    """Whether `user` may switch the account off, or reset its second factor: in all enterprises where it has a role."""
    held = list(Membership.objects.filter(user=person).select_related("enterprise"))
    return bool(held) and all(Role(each.role) in roles_granted_by(user, each.enterprise) for each in held)


@transaction.atomic
def deactivate_user(*, person: User, user: User, now: datetime) -> None:
    """Switch an account off: its sessions and keys end with their next request (X1, F84). Raises MemberRefused."""
    _check_governs(user, person)
    if person.pk == user.pk:
        raise MemberRefused.because(_("Ask another administrator: nobody switches off the own account."))
    for membership in Membership.objects.filter(user=person).select_related("enterprise").order_by("enterprise_id"):
        hold_enterprise(membership.enterprise)
        _keep_one(membership)
    _set_active(person, is_active=False, user=user, now=now)


@transaction.atomic
def activate_user(*, person: User, user: User, now: datetime) -> None:
    """Switch an account on again, with the password and the second factor it had. Raises MemberRefused."""
    _check_governs(user, person)
    _set_active(person, is_active=True, user=user, now=now)


@transaction.atomic
def reset_second_factor(*, person: User, user: User, now: datetime) -> None:
    """Forget somebody's authenticator and recovery codes; who needs one enrols anew (X1). Raises MemberRefused."""
    _check_governs(user, person)
    if person.pk == user.pk:
        raise MemberRefused.because(_("Ask another administrator: nobody resets the own two-step sign-in."))
    forget_second_factor(person)
    record_account("user.totp_reset", person, user.email, now)


def make_user(email: str, full_name: str, password: str | None, language: str, now: datetime) -> User:
    """A new account. Raises MemberRefused."""
    full_name = full_name.strip()
    user = User(email=email, full_name=full_name, created_at=now)
    problems = [*_person_problems(email, full_name), *_password_problems(password, user)]
    if problems:
        raise MemberRefused(problems)
    return User.objects.create_user(email, password, full_name=full_name, language=language, created_at=now)


def check_person(email: str, full_name: str) -> None:
    """Raise MemberRefused for an address or a name that no account could have."""
    if problems := _person_problems(email, full_name.strip()):
        raise MemberRefused(problems)


def hold_enterprise(enterprise: Enterprise) -> None:
    """Let changes of an enterprise's members queue: two at once can't each remove the other administrator."""
    Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)


def record_member(
    kind: str, email: str, enterprise: Enterprise, before: str | None, after: str | None, actor: str, now: datetime
) -> None:
    """One event about a role, for the record of the enterprise."""
    record_about(
        enterprise,
        kind,
        actor=actor,
        now=now,
        before={"user": email, "role": before} if before else None,
        after={"user": email, "role": after} if after else None,
    )


def _keep_one(membership: Membership) -> None:
    """Refuse to lose the last one who can sign in with this role in the enterprise."""
    if Role(membership.role) not in KEEPERS or not membership.user.is_active:
        return
    same = Membership.objects.filter(enterprise=membership.enterprise, role=membership.role, user__is_active=True)
    if not same.exclude(pk=membership.pk).exists():
        raise MemberRefused.because(
            _("%(person)s is the last one here with this role. Give it to somebody else first.")
            % {"person": membership.user}
        )


def _check_governs(user: User, person: User) -> None:
    if not may_govern(user, person):
        raise MemberRefused.because(
            _("This account has roles that you don't administer. You can end its role in your own enterprises.")
        )


def _set_active(person: User, *, is_active: bool, user: User, now: datetime) -> None:
    if User.objects.filter(pk=person.pk).exclude(is_active=is_active).update(is_active=is_active):
        kind = "user.activated" if is_active else "user.deactivated"
        record_account(kind, person, user.email, now)
    person.is_active = is_active


def _person_problems(email: str, full_name: str) -> list[Problem]:
    problems = []
    try:
        validate_email(email if len(email) <= MAX_EMAIL else "")
    except ValidationError:
        problems.append(Problem("email", _("Give an e-mail address such as name@example.com.")))
    if len(full_name) > 120:
        problems.append(Problem("full_name", _("Give a name of at most 120 characters.")))
    return problems


def _password_problems(password: str | None, user: User) -> list[Problem]:
    try:
        if password is not None:
            validate_password(password, user)
    except ValidationError as weak:
        return [Problem("password", message) for message in weak.messages]
    return []
