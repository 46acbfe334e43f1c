"""The order in which lists of billing stand unless somebody says otherwise."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from amp.foundation.lists.keyset import Ordering

BY_DAY = (
    Ordering("created", _("Created, newest first"), "created_at"),
    Ordering("oldest", _("Created, oldest first"), "created_at", descending=False),
)
