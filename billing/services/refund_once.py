"""A refund that is asked for once: the same key with the same content is the same refund, else it is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from billing.models import Refund
from billing.services.ordering import OnceKeyReused


class Once(NamedTuple):
    """A key that asks once, scoped by who asks (F34), and a digest of what was asked for with it (R7)."""

    once_key: str
    once_content: str


def once_of(once_key: str | None, asked_by: str, content: list[Any]) -> Once | None:
    """None without a key. `content` is everything that was asked for, as JSON can hold it."""
    if not once_key:
        return None
    scoped = hashlib.sha256(f"refund\n{asked_by}\n{once_key}".encode()).hexdigest()
    return Once(scoped, hashlib.sha256(json.dumps(content).encode()).hexdigest())


def made_before(once: Once | None) -> Refund | None:
    """The refund that this key has asked for. Raises OnceKeyReused where it asked for something else."""
    refund = Refund.objects.filter(once_key=once.once_key).first() if once else None
    if once and refund and refund.once_content != once.once_content:
        raise OnceKeyReused.because(_("This form was used for another refund already. Reload the page and try again."))
    return refund
