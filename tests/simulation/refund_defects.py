"""Defects of refunds that somebody might make: planted by `defects`."""

from __future__ import annotations

from typing import Any

import pytest

from billing.providers.protocol import RefundState
from billing.services import refund_effects, refund_work, refunds
from devices.services import shortening

Patch = pytest.MonkeyPatch


def one_person_refunds_much(patch: Patch) -> None:
    """Whoever asks approves, whatever the amount (F44)."""
    patch.setattr(refunds, "needs_another", lambda *_given: False)


def accepted_is_paid_back(patch: Patch) -> None:
    """A gateway that has taken a refund is taken to have paid it: its first answer ends it (F45)."""
    honest = refund_work._asked

    def asked(refund: Any, wall: Any) -> Any:
        facts, problem = honest(refund, wall)
        return facts._replace(state=RefundState.SUCCEEDED, amount=refund.amount), problem

    patch.setattr(refund_work, "_asked", asked)


def refunds_leave_devices_their_time(patch: Patch) -> None:
    """The money goes back, and nobody takes the time."""
    patch.setattr(refund_effects, "shorten_services", _nothing_taken)


def _nothing_taken(wishes: Any, **_more: Any) -> Any:
    return [shortening.Shortened(each.device_id, each.source, shortening.NOTHING, None) for each in wishes]


def refunds_take_all(patch: Patch) -> None:
    """A part of the money costs the whole period (F44)."""
    honest = refund_effects.shorten_services
    patch.setattr(
        refund_effects,
        "shorten_services",
        lambda wishes, **more: honest([each._replace(wanted=None) for each in wishes], **more),
    )


def failed_refunds_stay_reserved(patch: Patch) -> None:
    """What a refund had reserved isn't free again once it has failed."""
    honest = refunds._count_lines
    patch.setattr(refunds, "_count_lines", lambda refund, sign: honest(refund, sign) if sign > 0 else None)


def shortened_ends_keep_their_anchor(patch: Patch) -> None:
    """A refund moves the end and leaves the anchor: the next renewal gives the time back (A14)."""
    honest = shortening._shorten

    def shorten(row: Any, facts: Any, *given: Any, **more: Any) -> Any:
        made = honest(row, facts, *given, **more)
        changes = given[2]
        if made and row.device_id in changes.moved:
            moved = changes.moved[row.device_id]
            changes.move(moved._replace(anchor=row.anchor, anchor_months=row.anchor_months))
        return made

    patch.setattr(shortening, "_shorten", shorten)
