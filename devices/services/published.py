"""What became of each command that was handed to a transport, for whoever counts it (X10). The roof does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from django.dispatch import Signal

from devices.delivery import CommandKind
from devices.transports.base import Outcome

published = Signal()
"""Sent after each publish, with `counts`: a Counter by `Fate`. Receivers are quick; what they raise is logged."""


class Fate(NamedTuple):
    """A kind of command, and what became of its publish."""

    kind: CommandKind
    outcome: Outcome


def tell_published(fates: Iterable[Fate]) -> None:
    """Say it once for a whole slice of commands."""
    published.send_robust(sender=None, counts=Counter(fates))
