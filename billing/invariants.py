"""What must hold for money and orders at any moment; `manage.py audit` asks (R1, R2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from amp.foundation.invariants import Violation
from billing.models import EntryKind, LineStatus, MoneyEntry, Order, OrderLine, PaymentAttempt, Refund, RefundLine
from billing.orders import AttemptStatus, OrderStatus
from billing.refunds import LIVE, RefundStatus
from devices.models import EarlyEnd, Period

POTS = (EntryKind.APPLIED, EntryKind.UNAPPLIED, EntryKind.REFUNDED)
PAID_STATES = [OrderStatus.PAID.value, OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value]


def violations() -> list[Violation]:
    """All broken invariants of billing; empty where all is well. Runs in the system's scope."""
    return [found for check in CHECKS for found in check()]


def money_is_accounted_for() -> Iterator[Violation]:
    """Received = applied + unapplied + refunded + queued for fulfilment, per merchant and currency; no pot below zero.

    A movement that takes from a pot makes it smaller: the ledger is folded, never changed.
    """
    sums: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    entries = MoneyEntry.objects.values_list("merchant_id", "currency", "kind", "taken_from").order_by()
    for merchant_id, currency, kind, taken_from, amount in entries.annotate(Sum("amount")):
        sums[merchant_id, currency][kind] += amount
        if taken_from:
            sums[merchant_id, currency][taken_from] -= amount
    waiting = (
        OrderLine.objects.filter(status=LineStatus.QUEUED.value, order__total__gt=0, retries=0)
        .values_list("order__merchant_id", "order__currency")
        .annotate(Sum("amount"))
        .order_by()
    )
    for merchant_id, currency, amount in waiting:
        sums[merchant_id, currency]["QUEUED"] = amount
    for (merchant_id, currency), by_kind in sums.items():
        received = by_kind[EntryKind.RECEIVED.value]
        used = sum(by_kind[pot.value] for pot in POTS) + by_kind["QUEUED"]
        if received != used:
            yield Violation(
                "money in = money accounted for", f"merchant {merchant_id}: {received} against {used} {currency}"
            )
        for pot in POTS:
            if by_kind[pot.value] < 0:
                yield Violation("no pot below zero", f"merchant {merchant_id}: {pot.value} {by_kind[pot.value]}")


def transactions_count_once() -> Iterator[Violation]:
    """Each paid attempt is booked as received exactly once, and no gateway transaction is on two attempts."""
    paid = PaymentAttempt.objects.filter(status=AttemptStatus.PAID.value)
    booked = Count("entries", filter=Q(entries__kind=EntryKind.RECEIVED.value, entries__amount=F("paid_amount")))
    for number, times in paid.annotate(times=booked).filter(times=0).values_list("number", "times"):
        yield Violation("each transaction once", f"payment {number} is booked {times} times")
    doubled = paid.values("provider", "transaction_id").annotate(times=Count("pk")).filter(times__gt=1).order_by()
    for row in doubled:
        yield Violation("each transaction once", f"{row['transaction_id']} is on {row['times']} payments")


def one_payment_pays_for_an_order() -> Iterator[Violation]:
    """A paid order with a price has exactly one payment that settles it, of exactly its total."""
    priced = Order.objects.filter(status__in=PAID_STATES, total__gt=0)
    settling = Count("attempts", filter=Q(attempts__settles=True))
    for number, count in priced.annotate(count=settling).exclude(count=1).values_list("number", "count"):
        yield Violation("one payment settles an order", f"order {number} has {count}")
    wrong = PaymentAttempt.objects.filter(settles=True).exclude(
        paid_amount=F("order__total"), currency=F("order__currency")
    )
    for number in wrong.values_list("number", flat=True):
        yield Violation("one payment settles an order", f"payment {number} differs from its order")


def lines_extend_at_most_once() -> Iterator[Violation]:
    """An applied line has exactly one period, any other line has none."""
    sources = set(Period.objects.filter(source__startswith="line:").values_list("source", flat=True))
    applied = OrderLine.objects.filter(status=LineStatus.APPLIED.value).values_list("pk", flat=True)
    expected = {f"line:{pk}" for pk in applied.iterator(chunk_size=5_000)}
    for source in sorted(expected - sources):
        yield Violation("each line extends once", f"{source} is applied without a period")
    for source in sorted(sources - expected):
        yield Violation("each line extends once", f"{source} has a period but is not applied")


def lines_sum_to_the_total() -> Iterator[Violation]:
    """sum(lines) = total, and as many lines as the order says."""
    orders = Order.objects.annotate(sum=Sum("lines__amount"), count=Count("lines"))
    wrong = orders.exclude(sum=F("total"), count=F("line_count"))
    for number, total, amount in wrong.values_list("number", "total", "sum"):
        yield Violation("sum of lines = total", f"order {number}: {amount} against {total}")


def finished_orders_have_no_open_lines() -> Iterator[Violation]:
    """A fulfilled order has no line that waits; an unpaid one has none that doesn't."""
    open_lines = Q(status__in=[LineStatus.WAITING.value, LineStatus.QUEUED.value])
    finished = Q(order__status__in=[OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value])
    unpaid = Q(order__paid_at=None) & ~Q(status=LineStatus.WAITING.value)
    for pk, status in OrderLine.objects.filter((finished & open_lines) | unpaid).values_list("pk", "status"):
        yield Violation("lines follow their order", f"line {pk} is {status}")


def refunds_stay_within_what_was_paid() -> Iterator[Violation]:
    """sum(refunds) ≤ paid, for payments and lines; what they count as given back is what their refunds say (F44)."""
    alive = ~Q(refunds__status=RefundStatus.FAILED.value) & Q(refunds__currency=F("currency"))
    payments = PaymentAttempt.objects.annotate(sum=Coalesce(Sum("refunds__amount", filter=alive), 0)).filter(
        ~Q(refunded=F("sum")) | Q(sum__gt=F("received"))
    )
    for number, sum_, refunded, received in payments.values_list("number", "sum", "refunded", "received"):
        yield Violation("refunds within what was paid", f"payment {number}: {sum_} of {received}, counted {refunded}")
    yield from _foreign_refunds()
    part = Sum("refund_lines__amount", filter=~Q(refund_lines__refund__status=RefundStatus.FAILED.value))
    lines = OrderLine.objects.annotate(sum=Coalesce(part, 0)).filter(~Q(refunded=F("sum")) | Q(sum__gt=F("amount")))
    for pk, sum_, refunded in lines.values_list("pk", "sum", "refunded"):
        yield Violation("refunds within what was paid", f"line {pk}: {sum_}, counted {refunded}")


def _foreign_refunds() -> Iterator[Violation]:
    """Money that came in another currency than was asked for is counted by the ledger alone."""
    foreign = ~Q(currency=F("attempt__currency"))
    left: dict[tuple[str, str], int] = defaultdict(int)
    came = MoneyEntry.objects.filter(foreign, kind=EntryKind.RECEIVED.value)
    gone = Refund.objects.filter(foreign).exclude(status=RefundStatus.FAILED.value)
    for rows, sign in ((came, 1), (gone, -1)):
        for number, currency, amount in rows.values_list("attempt__number", "currency", "amount"):
            left[number, currency] += sign * amount
    for (number, currency), amount in left.items():
        if amount < 0:
            yield Violation("refunds within what was paid", f"payment {number}: {-amount} {currency} too much")


def refunds_are_the_sum_of_their_lines() -> Iterator[Violation]:
    """A refund with lines gives back exactly what they say; what is live is marked so."""
    refunds = Refund.objects.filter(has_lines=True).annotate(sum=Sum("lines__amount")).exclude(sum=F("amount"))
    for number in refunds.values_list("number", flat=True):
        yield Violation("a refund is the sum of its lines", f"refund {number}")
    live = Q(refund__status__in=[each.value for each in LIVE])
    for pk in RefundLine.objects.filter((live & Q(is_live=False)) | (~live & Q(is_live=True))).values_list(
        "pk", flat=True
    ):
        yield Violation("a refund is the sum of its lines", f"refund line {pk} is not as its refund")


def refunded_money_left_once() -> Iterator[Violation]:
    """A refund that succeeded is booked as refunded exactly once, any other never."""
    booked: dict[str, int] = defaultdict(int)
    entries = MoneyEntry.objects.filter(kind=EntryKind.REFUNDED.value).values_list("source", "amount")
    for source, amount in entries.iterator():
        booked[source.split(":")[1]] += amount
    done = Refund.objects.filter(status=RefundStatus.SUCCEEDED.value).values_list("pk", "amount")
    expected = {str(pk): amount for pk, amount in done.iterator()}
    for pk in sorted(booked.keys() | expected.keys()):
        if booked.get(pk, 0) != expected.get(pk, 0):
            yield Violation("a refund is booked once", f"refund {pk}: {booked.get(pk, 0)} of {expected.get(pk, 0)}")


def refunds_take_time_once() -> Iterator[Violation]:
    """A device lost time to a refund at most once, only after its money was back, and as much as the refund says."""
    cuts = EarlyEnd.objects.filter(source__startswith="refund:").values_list("source", "previous_ends_at", "ends_at")
    taken = {source: before - after for source, before, after in cuts.iterator()}
    lines = RefundLine.objects.filter(taken_seconds__gt=0, refund__status=RefundStatus.SUCCEEDED.value)
    said = {f"refund:{pk}": seconds for pk, seconds in lines.values_list("pk", "taken_seconds").iterator()}
    for source in sorted(taken.keys() | said.keys()):
        time = taken.get(source)
        if time is None or -(-time // timedelta(seconds=1)) != said.get(source):
            yield Violation("a refund takes time once", f"{source}: the device lost {time}")


CHECKS: tuple[Callable[[], Iterator[Violation]], ...] = (
    money_is_accounted_for,
    transactions_count_once,
    one_payment_pays_for_an_order,
    lines_extend_at_most_once,
    lines_sum_to_the_total,
    finished_orders_have_no_open_lines,
    refunds_stay_within_what_was_paid,
    refunds_are_the_sum_of_their_lines,
    refunded_money_left_once,
    refunds_take_time_once,
)
