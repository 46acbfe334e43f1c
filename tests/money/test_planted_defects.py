"""The run of orders under faults sees what would go wrong: defects that are planted, each of which it must find.

Without these a run that always says "all is well" would prove nothing. Each is planted in the product itself, and the
run plays the stories that it concerns at every seller.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from billing import orders
from billing.models import MoneyEntry
from billing.orders import ExceptionKind, Outcome, Verdict
from billing.providers.protocol import RefundState
from billing.services import fulfilment, polling, refund_work, settlement
from tests.money.balance import problems
from tests.money.day import ALL, Day

pytestmark = pytest.mark.timeout(600)
Patch = pytest.MonkeyPatch
ALL_OF_THEM = "AMP_MONEY_ORDERS" in os.environ
"""Otherwise the first of them only: each takes a day."""
_serial = itertools.count(1)


class Defect(NamedTuple):
    """What somebody might break: how, which stories meet it, and what the balance then says."""

    plant: Callable[[Patch], None]
    stories: tuple[str, ...]
    found: str


def without_the_amount_check(patch: Patch) -> None:
    """What was paid is taken for what was asked."""

    def verdict(order: Any, attempt: Any, facts: Any) -> Verdict:
        return orders.verdict(order, attempt._replace(amount=facts.amount), facts)

    patch.setattr(settlement, "verdict", verdict)


def without_the_currency_check(patch: Patch) -> None:
    """199 of whatever."""

    def verdict(order: Any, attempt: Any, facts: Any) -> Verdict:
        return orders.verdict(order, attempt._replace(currency=facts.currency), facts)

    patch.setattr(settlement, "verdict", verdict)


def without_the_merchant_check(patch: Patch) -> None:
    """Paid, to whomever."""

    def verdict(order: Any, attempt: Any, facts: Any) -> Verdict:
        return orders.verdict(order, attempt._replace(merchant_id=facts.merchant_id), facts)

    patch.setattr(settlement, "verdict", verdict)


def without_idempotency(patch: Patch) -> None:
    """A payment that is known is received again, under another source."""
    honest = settlement._facts_of
    patch.setattr(settlement, "_facts_of", lambda *given: honest(*given)._replace(transaction_id=None, taken=False))
    patch.setattr(settlement, "_again", lambda attempt, _facts: f"attempt:{attempt.pk}:{next(_serial)}")


def second_payments_ignored(patch: Patch) -> None:
    """The order is paid: whatever else comes for it is forgotten."""

    def verdict(*given: Any) -> Verdict:
        decided = orders.verdict(*given)
        return Verdict(Outcome.NOTHING_NEW) if decided.problem is ExceptionKind.SECOND_PAYMENT else decided

    patch.setattr(settlement, "verdict", verdict)


def late_payments_ignored(patch: Patch) -> None:
    """The order has ended."""

    def verdict(*given: Any) -> Verdict:
        decided = orders.verdict(*given)
        return Verdict(Outcome.NOTHING_NEW) if decided.outcome is Outcome.PAID_LATE else decided

    patch.setattr(settlement, "verdict", verdict)


def late_checks_dropped(patch: Patch) -> None:
    """Nobody asks after the code has expired."""
    honest = orders.next_query

    def next_query(**asked: Any) -> Any:
        due_at = honest(**asked)
        return due_at if due_at and due_at < asked["expires_at"] else None

    patch.setattr(polling, "next_query", next_query)
    patch.setattr("billing.services.attempts.next_query", next_query)


def lost_notices_never_asked_about(patch: Patch) -> None:
    """Whoever isn't told, isn't paid."""
    patch.setattr(polling, "_ask", lambda *_given, **_more: None)


def forged_notices_believed(patch: Patch) -> None:
    """No signature is looked at, nor whose key an account's own is."""
    patch.setattr("billing.providers.sandbox.check_headers", lambda *_given, **_more: None)


def refunds_counted_twice(patch: Patch) -> None:
    """A success that is told again is booked again."""
    honest = refund_work._book

    def book(refund: Any, now: Any) -> None:
        honest(refund, now)
        again = list(MoneyEntry.objects.filter(source__startswith=f"refund:{refund.pk}"))
        for entry in again:
            entry.pk, entry.source = None, f"{entry.source}:again"
            entry.save(force_insert=True)

    patch.setattr(refund_work, "_book", book)


def accepted_refunds_taken_for_done(patch: Patch) -> None:
    """A 200 on a refund means accepted, not done."""
    honest = refund_work._asked

    def asked(refund: Any, wall: Any) -> Any:
        facts, problem = honest(refund, wall)
        if facts.state is RefundState.PROCESSING:
            facts = facts._replace(state=RefundState.SUCCEEDED, amount=refund.amount)
        return facts, problem

    patch.setattr(refund_work, "_asked", asked)


def refunds_sent_under_a_new_number(patch: Patch) -> None:
    """A retry that the gateway takes for another refund."""
    from billing.services.accounts import gateway_of_attempt

    class Forgetful:
        def __init__(self, attempt: Any) -> None:
            self._honest = gateway_of_attempt(attempt)

        def query_refund(self, refund_number: str, **more: Any) -> Any:
            return self._honest.query_refund(refund_number, **more)

        def refund(self, number: str, *, refund_number: str, **more: Any) -> Any:
            told = self._honest.refund(number, refund_number=f"{refund_number[:-4]}{next(_serial):04}", **more)
            return told._replace(number=refund_number)

    patch.setattr(refund_work, "gateway_of_attempt", Forgetful)


def terminated_devices_taken_for_renewed(patch: Patch) -> None:
    """Whatever the device's service says, the line counts as applied."""
    patch.setattr(fulfilment, "_status", lambda _outcome: fulfilment.LineStatus.APPLIED)


def devices_renewed_twice(patch: Patch) -> None:
    """A slice that is done again, and of which the device knows nothing."""
    honest = fulfilment.renew_services

    def renew(requests: Any, **more: Any) -> Any:
        outcomes = honest(requests, **more)
        honest([each._replace(source=f"again:{next(_serial)}") for each in requests], **more)
        return outcomes

    patch.setattr(fulfilment, "renew_services", renew)


DEFECTS = {
    "without the amount check": Defect(without_the_amount_check, ("wrong amount",), "one payment settles an order"),
    "without the currency check": Defect(without_the_currency_check, ("wrong currency",), "is FULFILLED, should be"),
    "without the merchant check": Defect(without_the_merchant_check, ("wrong merchant",), "is FULFILLED, should be"),
    "without idempotency": Defect(without_idempotency, ("told twice",), "received .* the gateway says"),
    "second payments ignored": Defect(second_payments_ignored, ("two payments",), "received .* the gateway says"),
    "late payments ignored": Defect(late_payments_ignored, ("paid after expiry",), "received .* the gateway says"),
    "late checks dropped": Defect(
        late_checks_dropped, ("paid after expiry, never told",), "received .* the gateway says"
    ),
    "lost notices never asked about": Defect(
        lost_notices_never_asked_about, ("never told",), "received .* the gateway says"
    ),
    "forged notices believed": Defect(forged_notices_believed, ("forged, then paid",), "notices were refused"),
    "refunds counted twice": Defect(refunds_counted_twice, ("refunded",), "paid back .* the gateway says"),
    "accepted refunds taken for done": Defect(
        accepted_refunds_taken_for_done, ("refund accepted, then failed",), "paid back .* the gateway says"
    ),
    "refunds sent under a new number": Defect(
        refunds_sent_under_a_new_number, ("refund answered by nobody",), "paid back .* the gateway says"
    ),
    "terminated devices taken for renewed": Defect(
        terminated_devices_taken_for_renewed, ("devices end before payment",), "renewed 0 times, paid for|is FULFILLED"
    ),
    "devices renewed twice": Defect(devices_renewed_twice, ("paid",), "renewed 2 times, paid for 1 times"),
}


@pytest.mark.parametrize("name", list(DEFECTS) if ALL_OF_THEM else list(DEFECTS)[:2])
def test_the_run_finds_it(day: Day, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    defect = DEFECTS[name]
    stories = tuple(story for story in ALL if story.name in defect.stories)
    assert len(stories) == len(defect.stories)
    defect.plant(monkeypatch)
    day.run(sum(len(story.kinds) for story in stories), seed=7, stories=stories)
    found = problems(day)
    assert any(re.search(defect.found, problem) for problem in found), "\n".join(found) or "nothing was found"


def test_without_a_defect_the_same_stories_end_well(day: Day) -> None:
    """Else the ones above would prove nothing."""
    names = {name for defect in list(DEFECTS.values())[: None if ALL_OF_THEM else 2] for name in defect.stories}
    stories = tuple(story for story in ALL if story.name in names)
    day.run(sum(len(story.kinds) for story in stories), seed=7, stories=stories)
    assert problems(day) == []
