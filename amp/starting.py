"""What production looks at in its database before it serves (X9): settings can be strong and the data weak.

Each refusal is named. A database that is away or not migrated yet is no refusal: health says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from amp.demo.organisation import PASSWORD, PEOPLE
from amp.foundation.models import TestClock, User
from amp.foundation.scoping import system_scope
from billing.models import MerchantAccount, Provider

log = logging.getLogger(__name__)


def refuse_weak_database() -> None:
    """Raise ImproperlyConfigured with all reasons why production must not start on this database."""
    if not settings.IS_PRODUCTION:
        return
    try:
        with system_scope():
            weak = weak_rows()
    except DatabaseError as away:
        log.warning("The database could not be looked at before the start: %s", type(away).__name__)
        return
    if weak:
        raise ImproperlyConfigured(" ".join(weak))


def weak_rows() -> list[str]:
    """A sentence for each reason; empty where all is well."""
    return [*_default_passwords(), *_test_clock(), *_sandbox_beside_money()]


def _default_passwords() -> Iterator[str]:
    """The demo's logins are printed in the open. Its addresses alone are tried: a hash costs time on purpose."""
    addresses = [email for _role, _place, email, _name in PEOPLE]
    for user in User.objects.filter(email__in=addresses, is_active=True).order_by("pk"):
        if user.check_password(PASSWORD):
            yield f"The account {user.email} has the demo's password: change it, or switch the account off."


def _test_clock() -> Iterator[str]:
    if TestClock.objects.exists():
        yield "The database was used in demo or test mode, and its clock was moved: start with a database of its own."


def _sandbox_beside_money() -> Iterator[str]:
    accounts = MerchantAccount.objects.filter(is_active=True)
    if settings.SANDBOX_ENABLED and accounts.exclude(provider=Provider.SANDBOX.value).exists():
        yield "AMP_SANDBOX is on beside a live merchant account: services could be had for test money. Switch it off."
