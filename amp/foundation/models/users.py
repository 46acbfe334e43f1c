"""People who sign in, and what they are in which enterprise."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise


class Role(StrEnum):
    """What a member may do; `amp.foundation.access` holds the table of roles and actions (X2)."""

    PLATFORM_ADMINISTRATOR = "PLATFORM_ADMINISTRATOR"
    ACCOUNT_MANAGER = "ACCOUNT_MANAGER"
    ENTERPRISE_ADMINISTRATOR = "ENTERPRISE_ADMINISTRATOR"
    OPERATOR = "OPERATOR"
    FINANCE = "FINANCE"
    READ_ONLY = "READ_ONLY"


ROLE_CHOICES = [
    (Role.PLATFORM_ADMINISTRATOR.value, _("Platform administrator")),
    (Role.ACCOUNT_MANAGER.value, _("Account manager")),
    (Role.ENTERPRISE_ADMINISTRATOR.value, _("Enterprise administrator")),
    (Role.OPERATOR.value, _("Operator")),
    (Role.FINANCE.value, _("Finance")),
    (Role.READ_ONLY.value, _("Read only")),
]


class UserAccounts(BaseUserManager["User"]):
    """Creates users by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user who can sign in; `created_at` must be given."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """Sign-in ignores the case of the address."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in to the admin: staff of an enterprise or of the platform."""

    email = models.EmailField(_("e-mail"), unique=True)
    full_name = models.CharField(_("name"), max_length=120, blank=True)
    language = models.CharField(_("language"), max_length=10, default="en")
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("may sign in to the admin"), default=True)
    # An authenticator is enrolled: each request asks this, so it is kept beside the user (X1).
    uses_totp = models.BooleanField(_("two-step sign-in"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created"))

    objects: ClassVar[UserAccounts] = UserAccounts()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.full_name or self.email

    def get_full_name(self) -> str:
        """What the admin's frame calls its user."""
        return self.full_name


class Membership(models.Model):
    """A user's role in one enterprise, which reaches down its subtree (E1)."""

    # Read by the guard itself before a scope exists, hence not scoped.
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="memberships", verbose_name=_("enterprise"))
    role = models.CharField(_("role"), max_length=24, choices=ROLE_CHOICES)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [models.UniqueConstraint(fields=["user", "enterprise"], name="one_role_per_user_and_enterprise")]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"
