"""A person's password: chosen, changed, replaced after it was forgotten; each is on the record, without it (R9, X1)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from amp.foundation.models import User
from amp.foundation.services.second_factor import record_account

PASSWORD_CHOSEN = "user.password_chosen"  # noqa: S105 (kinds of events)
PASSWORD_CHANGED = "user.password_changed"  # noqa: S105
PASSWORD_RESET = "user.password_reset"  # noqa: S105


@transaction.atomic
def change_password(*, user: User, password: str, kind: str, now: datetime) -> None:
    """Give an account a password that was validated; its other sessions end with their next request (F95).

    `kind` says how it came about: PASSWORD_CHANGED by its owner who knew the old one, PASSWORD_RESET by a mail's link.
    """
    user.set_password(password)
    user.save(update_fields=["password"])
    record_account(kind, user, user.email, now)
