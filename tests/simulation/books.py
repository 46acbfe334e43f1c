"""What the gateway's own books say once all is over: every order, payment and refund ended as they do (R1, R2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from billing.models import Order, Refund, SandboxRefund, SandboxTrade
from devices.models import Period

if TYPE_CHECKING:
    from tests.simulation.run import Run

WAITS = "REQUESTED"
"""Only a person ends such a refund."""


def orders_in_their_books(run: Run) -> Iterator[tuple[str, str]]:
    """Every order ended as the gateway's own books say; read from its trades, not from our payments (R1, R2)."""
    trades = {each.number: each for each in SandboxTrade.objects.order_by("pk")}
    for order in Order.objects.order_by("pk").prefetch_related("attempts", "lines"):
        own = [(each, trades[each.number]) for each in order.attempts.all() if each.number in trades]
        right = [trade for each, trade in own if trade.status == "PAID" and trade.amount == each.amount]
        periods = Period.objects.filter(source__in=[f"line:{line.pk}" for line in order.lines.all()]).count()
        gone = sum(line.status == "UNAPPLIED" for line in order.lines.all())
        if right and periods + gone != len(order.lines.all()):
            yield "what_is_paid_is_applied", f"order {order.pk} is {order.status}: {periods} periods, {gone} unapplied"
        if not right and periods:
            yield "a_renewal_is_paid_for", f"order {order.pk} has {periods} periods and no right payment"
        if gone and not any(run.checks.services[line.device_id].state == "TERMINATED" for line in order.lines.all()):
            yield "what_is_paid_is_applied", f"order {order.pk} has {gone} unapplied lines"
        received = sum(each.received for each in order.attempts.all())
        paid = sum(trade.amount + trade.second_amount for _each, trade in own if trade.status == "PAID")
        if received != paid:
            yield "money_in_is_counted_once", f"order {order.pk} received {received}, the gateway says {paid}"


def refunds_in_their_books(run: Run) -> Iterator[tuple[str, str]]:
    """Every refund that a person let go has ended, once, as the gateway says; and took from devices what it pays."""
    back = {each.number: each for each in SandboxRefund.objects.select_related("trade").order_by("pk")}
    paid_back: Counter[int] = Counter()
    for each in back.values():
        paid_back[each.trade_id] += each.amount if each.status == "SUCCEEDED" else 0
        if paid_back[each.trade_id] > each.trade.amount + each.trade.second_amount:
            yield "no_more_back_than_was_paid", f"trade {each.trade.number}: {paid_back[each.trade_id]}"
    for number, status, order in Refund.objects.order_by("pk").values_list("number", "status", "order_id"):
        model, theirs = run.checks.money.refunds[number], back.pop(number, None)
        if status != model.status:
            yield "a_refund_goes_its_way", f"refund {number} is {status}, its record says {model.status}"
        if status != WAITS and (theirs.status if theirs else "FAILED") != status:
            yield "a_refund_ends_as_the_gateway_says", f"refund {number} of order {order}: {status}, {theirs}"
    for number in back:
        yield "nothing_is_sent_unasked", f"the gateway paid {number} back"
    for refund, line in run.checks.money.untaken():
        yield "what_is_paid_back_is_taken", f"line {line} of refund {refund.number}: its device has all of its time"
    whole = _given_back_in_full(run)
    for pk, status in Order.objects.order_by("pk").values_list("pk", "status"):
        if (status == "REFUNDED") != (pk in whole):
            yield "refunded_once_all_is_back", f"order {pk} is {status}"


def _given_back_in_full(run: Run) -> set[int]:
    """Orders of which all that they cost is back (Q2)."""
    sums: Counter[int] = Counter()
    for refund in run.checks.money.refunds.values():
        if refund.status == "SUCCEEDED":
            sums[refund.order] += sum(part.amount for part in refund.parts.values())
    return {order for order, amount in sums.items() if amount == run.people.sold[order][0]}
