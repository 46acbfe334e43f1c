"""What must hold for money and orders at any moment; `manage.py audit` asks (R1, R2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from django.db.models import Count, F, Q, Sum

from amp.foundation.invariants import Violation
from billing.models import EntryKind, LineStatus, MoneyEntry, Order, OrderLine, PaymentAttempt
from billing.orders import AttemptStatus, OrderStatus
from devices.models import Period

PAID_STATES = [OrderStatus.PAID.value, OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value]


def violations() -> list[Violation]:
    """All broken invariants of billing; empty where all is well. Runs in the system's scope."""
    return [found for check in CHECKS for found in check()]


def money_is_accounted_for() -> Iterator[Violation]:
    """Received = applied + unapplied + queued for fulfilment, per merchant and currency."""
    sums: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    entries = MoneyEntry.objects.values_list("merchant_id", "currency", "kind").annotate(Sum("amount")).order_by()
    for merchant_id, currency, kind, amount in entries:
        sums[merchant_id, currency][kind] = amount
    waiting = (
        OrderLine.objects.filter(status=LineStatus.QUEUED.value, order__total__gt=0)
        .values_list("order__merchant_id", "order__currency")
        .annotate(Sum("amount"))
        .order_by()
    )
    for merchant_id, currency, amount in waiting:
        sums[merchant_id, currency]["QUEUED"] = amount
    for (merchant_id, currency), by_kind in sums.items():
        received = by_kind[EntryKind.RECEIVED.value]
        used = by_kind[EntryKind.APPLIED.value] + by_kind[EntryKind.UNAPPLIED.value] + by_kind["QUEUED"]
        if received != used:
            yield Violation(
                "money in = money accounted for", f"merchant {merchant_id}: {received} against {used} {currency}"
            )


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


CHECKS: tuple[Callable[[], Iterator[Violation]], ...] = (
    money_is_accounted_for,
    transactions_count_once,
    one_payment_pays_for_an_order,
    lines_extend_at_most_once,
    lines_sum_to_the_total,
    finished_orders_have_no_open_lines,
)
