"""Defects that somebody might make, planted in the product: each must be found by the check that is named with it.

Without them a simulation that never finds anything would prove nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from billing import orders
from billing.services import fulfilment, settlement
from devices import lifecycle
from devices.delivery import CommandStatus, Standing, closed, confirmed
from devices.online_time import Kind
from devices.services import commands, dispatch, ledger, notice_claims, presence, renewal, waking
from devices.services import lifecycle as sweeping

Patch = pytest.MonkeyPatch
_serial = itertools.count(1)


class Defect(NamedTuple):
    """How it is planted, the checks that may find it, and the seeds that meet it."""

    plant: Callable[[Patch], None]
    found_by: set[str]
    seeds: tuple[int, ...]


def the_last_moment_still_counts(patch: Patch) -> None:
    """A payment at the very end extends the period, as if `[starts_at, ends_at)` held its end (A15, A16)."""
    honest = lifecycle._renewed

    def renewed(facts: Any, terms: Any, *, paid_at: Any, months: int) -> Any:
        if facts.ends_at and paid_at == facts.ends_at:
            paid_at -= timedelta(microseconds=1)
        return honest(facts, terms, paid_at=paid_at, months=months)

    patch.setattr(lifecycle, "_renewed", renewed)


def trials_count_offline_time(patch: Patch) -> None:
    """Online time goes on from the last goodbye (P1, F60)."""
    honest = presence.apply

    def apply(state: Any, event: Any) -> Any:
        step = honest(state, event)
        if event.kind == Kind.ONLINE and not state.online and state.last_event_at and step.state.online:
            return step._replace(state=step.state._replace(open_since=state.last_event_at))
        return step

    patch.setattr(presence, "apply", apply)


def generations_stay(patch: Patch) -> None:
    """A new wish is told under the old generation (A22, F56)."""
    honest = ledger.Changes.tell

    def tell(self: Any, row: Any, lock: Any, cause: Any = None) -> Any:
        return honest(self, row._replace(generation=max(row.generation - 1, 0)), lock, cause)

    patch.setattr(ledger.Changes, "tell", tell)


def no_second_attempt(patch: Patch) -> None:
    """What was sent is taken for received: a process that died over it is never made up for (A21)."""
    patch.setattr(dispatch, "unanswered", lambda standing, **_more: closed(standing, CommandStatus.STALE, standing.due_at))
    patch.setattr(waking, "_order_fresh_unlocks", lambda *_given: None)


def late_replies_count(patch: Patch) -> None:
    """A reply to a command that a newer one has superseded confirms it (F56)."""

    def answered(standing: Standing, *, ok: bool, confirms_by_report: bool, now: Any) -> Standing | None:
        return confirmed(standing._replace(acked_at=now), now=now) if ok and standing.attempts else None

    patch.setattr(commands, "answered", answered)


def paid_devices_stay_locked(patch: Patch) -> None:
    """A renewal of an expired service orders no UNLOCK (A22)."""
    honest = renewal.renewal
    patch.setattr(renewal, "renewal", lambda *given, **more: honest(*given, **more)._replace(unlocks=False))


def notices_of_old_ends_go_out(patch: Patch) -> None:
    """Nobody looks at the end again when a notice is claimed (N4)."""
    patch.setattr(dispatch, "without_outdated", lambda rows, _now: rows)


def sweeps_take_no_lock(patch: Patch) -> None:
    """Two sweeps move the same service on (F12)."""
    kind = type(sweeping.DeviceService.objects.all())
    patch.setattr(kind, "select_for_update", lambda self, **_more: self, raising=False)


def lines_are_renewed_twice(patch: Patch) -> None:
    """A slice that is done again, and of which the device knows nothing (R2)."""
    honest = fulfilment.renew_services

    def renew(requests: Any, **more: Any) -> Any:
        outcomes = honest(requests, **more)
        honest([each._replace(source=f"again:{next(_serial)}") for each in requests], **more)
        return outcomes

    patch.setattr(fulfilment, "renew_services", renew)


def any_amount_settles(patch: Patch) -> None:
    """What was paid is taken for what was asked (R1)."""

    def verdict(order: Any, attempt: Any, facts: Any) -> Any:
        return orders.verdict(order, attempt._replace(amount=facts.amount), facts)

    patch.setattr(settlement, "verdict", verdict)


def a_newer_command_does_not_wait(patch: Patch) -> None:
    """A command leaves while an older one may still be on its way (R3)."""
    patch.setattr(commands, "_on_their_way", lambda _rows, _now: {})


def expiry_is_noticed_not_dated(patch: Patch) -> None:
    """An end is recorded as when a late sweep noticed it (A17, R8)."""
    honest = sweeping.due_transition

    def due_transition(facts: Any, terms: Any, now: Any) -> Any:
        due = honest(facts, terms, now)
        return due._replace(at=now) if due and due.why == "period_ended" else due

    patch.setattr(sweeping, "due_transition", due_transition)


def offline_devices_are_forgotten(patch: Patch) -> None:
    """What waits for a device isn't sent when it comes back (A21, F53)."""
    patch.setattr(waking, "woken", lambda standing, *, now: standing)
    patch.setattr(waking, "_order_fresh_unlocks", lambda *_given: None)


def wrong_months(patch: Patch) -> None:
    """Ends are chained, not computed from the anchor (A14, F40)."""
    honest = lifecycle._renewed

    def renewed(facts: Any, terms: Any, *, paid_at: Any, months: int) -> Any:
        told = honest(facts, terms, paid_at=paid_at, months=months)
        return told._replace(ends_at=told.starts_at + timedelta(days=30 * months))

    patch.setattr(lifecycle, "_renewed", renewed)




DEFECTS = {
    plant.__name__.replace("_", " "): Defect(plant, found_by, seeds)
    for plant, found_by, seeds in (
        (the_last_moment_still_counts, {"x"}, (11,)),
        (trials_count_offline_time, {"x"}, (1,)),
        (generations_stay, {"x"}, (1,)),
        (no_second_attempt, {"x"}, (1,)),
        (late_replies_count, {"x"}, (1,)),
        (paid_devices_stay_locked, {"x"}, (1,)),
        (notices_of_old_ends_go_out, {"x"}, (1,)),
        (sweeps_take_no_lock, {"x"}, (1,)),
        (lines_are_renewed_twice, {"x"}, (1,)),
        (any_amount_settles, {"x"}, (1,)),
        (a_newer_command_does_not_wait, {"x"}, (1,)),
        (expiry_is_noticed_not_dated, {"x"}, (1,)),
        (offline_devices_are_forgotten, {"x"}, (1,)),
        (wrong_months, {"x"}, (1,)),
    )
}
