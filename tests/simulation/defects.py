"""Defects that somebody might make, planted in the product: each must be found by the check that is named with it.

Without them a simulation that never finds anything would prove nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from billing.services import fulfilment
from catalog.models import Plan, Product
from devices import lifecycle
from devices.delivery import CommandStatus, closed
from devices.online_time import Kind
from devices.services import commands, dispatch, ledger, presence, renewal, waking
from devices.services import lifecycle as sweeping
from tests.money.test_planted_defects import without_the_amount_check
from tests.simulation import act_defects as of_acts
from tests.simulation import refund_defects as of_refunds
from tests.simulation.profiles import Profile, bargaining, busy, crowd, small, young

Patch = pytest.MonkeyPatch
_serial = itertools.count(1)
DUE = "nothing_happens_before_it_is_due"


class Defect(NamedTuple):
    """How it is planted, the checks that may find it, and the seeds that meet it."""

    plant: Callable[[Patch], None]
    found_by: set[str]
    seeds: tuple[int, ...]
    profile: Callable[[int], Profile] = small


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
    patch.setattr(
        dispatch, "unanswered", lambda standing, **_more: closed(standing, CommandStatus.STALE, standing.due_at)
    )
    patch.setattr(waking, "_order_fresh_unlocks", lambda *_given: None)


def paid_devices_stay_locked(patch: Patch) -> None:
    """A renewal of an expired service orders no UNLOCK (A22)."""
    honest = renewal.renewal
    patch.setattr(renewal, "renewal", lambda *given, **more: honest(*given, **more)._replace(unlocks=False))


def notices_of_old_ends_go_out(patch: Patch) -> None:
    """Nobody looks at the end again when a notice is claimed (N4)."""
    patch.setattr(dispatch, "without_outdated", lambda rows, _now: rows)


def lines_are_renewed_twice(patch: Patch) -> None:
    """A slice that is done again, and of which the device knows nothing (R2)."""
    honest = fulfilment.renew_services

    def renew(requests: Any, **more: Any) -> Any:
        outcomes = honest(requests, **more)
        honest([each._replace(source=f"again:{next(_serial)}") for each in requests], **more)
        return outcomes

    patch.setattr(fulfilment, "renew_services", renew)


def expiry_is_noticed_not_dated(patch: Patch) -> None:
    """An end is recorded as when a late sweep noticed it (A17, R8)."""
    honest = sweeping.due_transition

    def due_transition(facts: Any, terms: Any, now: Any) -> Any:
        due = honest(facts, terms, now)
        return due._replace(at=now) if due and due.why == "period_ended" else due

    patch.setattr(sweeping, "due_transition", due_transition)


def stopped_devices_stay_open(patch: Patch) -> None:
    """A service that has expired orders no LOCK (A18)."""
    honest = sweeping.due_transition

    def due_transition(facts: Any, terms: Any, now: Any) -> Any:
        due = honest(facts, terms, now)
        return due._replace(lock=None) if due and due.why == "period_ended" else due

    patch.setattr(sweeping, "due_transition", due_transition)


def wrong_months(patch: Patch) -> None:
    """Ends are chained, not computed from the anchor (A14, F40)."""
    honest = lifecycle._renewed

    def renewed(facts: Any, terms: Any, *, paid_at: Any, months: int) -> Any:
        told = honest(facts, terms, paid_at=paid_at, months=months)
        return told._replace(ends_at=told.starts_at + timedelta(days=30 * months))

    patch.setattr(lifecycle, "_renewed", renewed)


def no_brake_on_locks(patch: Patch) -> None:
    """However many LOCKs there are, all go at once (P8)."""
    patch.setattr(commands, "brake_locks", lambda *_given, **_more: {})


def the_newest_version_is_given(patch: Patch) -> None:
    """Paid lines get the period of the version that is on sale by now, not of the one that was sold (E3)."""
    honest = fulfilment.renew_services

    def renew(requests: Any, **more: Any) -> Any:
        months = Plan.objects.filter(status="PUBLISHED").latest("version").months
        return honest([each._replace(months=months) for each in requests], **more)

    patch.setattr(fulfilment, "renew_services", renew)


def commands_are_the_makers(patch: Patch) -> None:
    """A child's device is told by its parent, as if the device were its own (E1)."""
    honest = ledger.order_commands

    def order_commands(orders: Any, **more: Any) -> None:
        makers = dict(Product.objects.values_list("id", "enterprise_id"))
        honest([each._replace(enterprise_id=makers[each.product_id]) for each in orders], **more)

    patch.setattr(ledger, "order_commands", order_commands)


DEFECTS = {
    plant.__name__.replace("_", " "): Defect(plant, found_by, seeds, *profile)
    for plant, found_by, seeds, *profile in (
        (trials_count_offline_time, {DUE}, (2,)),
        (generations_stay, {"what_is_paid_is_applied"}, (3,)),
        (no_second_attempt, {"a_paid_device_is_open"}, (2,)),
        (paid_devices_stay_locked, {"lock_as_the_spec_says"}, (0,)),
        (notices_of_old_ends_go_out, {"a_notice_is_true"}, (0,)),
        (lines_are_renewed_twice, {DUE}, (0,)),
        (without_the_amount_check, {"a_renewal_is_paid_for", "money_in_is_accounted_for"}, (12,)),
        (expiry_is_noticed_not_dated, {"dated_as_the_spec_says"}, (4,)),
        (stopped_devices_stay_open, {"lock_as_the_spec_says"}, (9,)),
        (wrong_months, {"periods_as_the_spec_says"}, (0,)),
        (the_newest_version_is_given, {"periods_as_the_spec_says"}, (0,), bargaining),
        (commands_are_the_makers, {"a_device_stays_its_owners"}, (11,)),
        (no_brake_on_locks, {"many_locks_wait_for_a_person"}, (1,), crowd),
        (of_refunds.one_person_refunds_much, {"two_people_give_back_much"}, (8,)),
        (of_refunds.accepted_is_paid_back, {"only_the_gateways_word_ends_a_refund"}, (0,)),
        (of_refunds.refunds_leave_devices_their_time, {"what_is_paid_back_is_taken"}, (8,)),
        (of_refunds.refunds_take_all, {"a_refund_takes_what_it_pays"}, (18,)),
        (of_refunds.failed_refunds_stay_reserved, {"audit: refunds within what was paid"}, (0,)),
        (of_refunds.shortened_ends_keep_their_anchor, {"periods_as_the_spec_says"}, (0,), busy),
        (of_acts.new_lives_keep_their_count, {DUE}, (2,)),
        (of_acts.new_lives_begin_locked, {"lock_as_the_spec_says"}, (0,)),
        (of_acts.paid_lives_may_end, {"a_life_ends_after_its_time"}, (1,)),
        (of_acts.rests_are_copied, {"state_as_the_spec_says"}, (8,)),
        (of_acts.rests_grow, {"state_as_the_spec_says"}, (8,)),
        (of_acts.replacements_stay_locked, {"lock_as_the_spec_says"}, (8,)),
        (of_acts.trials_follow_the_newest_rule, {DUE, "dated_as_the_spec_says"}, (0,), young),
        (of_acts.rules_move_devices_in_the_past, {"dated_as_the_spec_says"}, (16,), young),
        (of_acts.nobody_gets_the_included_period, {"state_as_the_spec_says"}, (14,)),
        (of_acts.renewal_is_always_early, {"who_may_renew_is_offered_it"}, (0,)),
        (of_acts.time_counts_while_paid_mode_is_off, {DUE}, (3,)),
        (of_acts.relocked_by_nobody, {"lock_as_the_spec_says"}, (10,)),
    )
}
