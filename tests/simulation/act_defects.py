"""Defects of new lives, transfers and changes of rules that somebody might make: planted by `defects`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from devices import lifecycle
from devices.lifecycle import Lock
from devices.services import lifecycle as sweeping
from devices.services import renewal, replanning, restart, transfer

Patch = pytest.MonkeyPatch


def new_lives_keep_their_count(patch: Patch) -> None:
    """The counter of a new life goes on where the old one was (A6)."""
    honest = restart._begin
    patch.setattr(
        restart,
        "_begin",
        lambda looked, *given: honest(looked._replace(total=looked.row.counts_from or 0), *given),
    )


def new_lives_begin_locked(patch: Patch) -> None:
    """A device that comes from the factory is still locked (A6)."""
    honest = restart._looked_at

    def looked_at(*given: Any) -> Any:
        looked = honest(*given)
        return looked._replace(preview=looked.preview._replace(unlocks=False))

    patch.setattr(restart, "_looked_at", looked_at)


def paid_lives_may_end(patch: Patch) -> None:
    """A new life begins though paid time remains (A6)."""
    patch.setattr(restart, "restart_refusal", lambda *_given, **_more: None)


def rests_are_copied(patch: Patch) -> None:
    """The device that gives keeps what it gave: time is made (A26)."""
    honest = transfer._emptied

    def emptied(row: Any, at: Any, changes: Any) -> Any:
        honest(row, at, changes)
        return changes.move(row._replace(last_event_at=at))

    patch.setattr(transfer, "_emptied", emptied)


def rests_grow(patch: Patch) -> None:
    """What moves gets a day longer on its way (A26)."""
    honest = transfer.moved

    def moved(*given: Any, at: Any) -> Any:
        stretch = honest(*given, at=at)
        return stretch._replace(ends_at=stretch.ends_at + timedelta(days=1))

    patch.setattr(transfer, "moved", moved)


def replacements_stay_locked(patch: Patch) -> None:
    """The device that takes over isn't told to open (A26, A22)."""
    honest = transfer.Changes.tell

    def tell(self: Any, row: Any, lock: Any, cause: Any = None) -> Any:
        if lock is Lock.UNLOCKED and row.state == "ACTIVE" and row.anchor_months == 0:
            return row
        return honest(self, row, lock, cause)

    patch.setattr(transfer.Changes, "tell", tell)


def trials_follow_the_newest_rule(patch: Patch) -> None:
    """The end threshold doesn't freeze where a trial begins (A5)."""
    honest = lifecycle._falls_due
    patch.setattr(lifecycle, "_falls_due", lambda facts, terms: honest(facts._replace(trial_end=None), terms))


def rules_move_devices_in_the_past(patch: Patch) -> None:
    """A lower threshold starts trials before somebody has set it (R8)."""
    honest = lifecycle._falls_due
    patch.setattr(
        lifecycle,
        "_falls_due",
        lambda facts, terms: honest(facts, terms._replace(thresholds_since=facts.last_event_at)),
    )


def nobody_gets_the_included_period(patch: Patch) -> None:
    """Trials end in a lock though a plan is included (A10)."""
    honest = sweeping.due_transition
    patch.setattr(
        sweeping, "due_transition", lambda facts, terms, now: honest(facts, terms._replace(included=None), now)
    )


def renewal_is_always_early(patch: Patch) -> None:
    """Whoever has a trial may buy, whatever the rule says (A12)."""
    honest = renewal.renewal_refusal
    patch.setattr(
        renewal,
        "renewal_refusal",
        lambda facts, terms, **more: honest(facts, terms._replace(early_renewal=True), **more),
    )


def time_counts_while_paid_mode_is_off(patch: Patch) -> None:
    """Online time of the pause counts as soon as paid mode is on again (A4)."""
    patch.setattr(replanning, "total_of", lambda *_given: 0)


def relocked_by_nobody(patch: Patch) -> None:
    """Devices that were opened while paid mode was off stay open (A25)."""
    patch.setattr(replanning, "unlocked_services", lambda services: services.none())
