"""Paid orders to refund, as tests speak of them: paid at the sandbox, fulfilled, and the worker at its steps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from amp.foundation.invariants import Violation
from billing.models import Effect, Order, PaymentAttempt, Refund
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_work import work_refunds
from billing.services.refunds import request_refund
from billing.services.sandbox import Trouble, pay
from billing.services.settlement import settle
from devices.invariants import violations
from devices.models import DeviceService
from tests.services.shop import NOW, WALL, Loopback, Shop, paid

ANN, BOB = "ann@example.com", "bob@example.com"
HALF = timedelta(days=365) / 2
HALFWAY = NOW + HALF
"""Half of the yearly period that the shop sells is used."""


def pay_at_sandbox(attempt: PaymentAttempt, *, trouble: Trouble = Trouble.DROPPED) -> None:
    """The trade in the sandbox's books, without a notice."""
    pay(signed=attempt.code.rsplit("/", 1)[1], trouble=trouble, now=NOW, wall=WALL)


def paid_order(shop: Shop, **changes: Any) -> Order:
    """An order that was paid at NOW and fulfilled; its devices run for a year from then."""
    attempt = shop.attempt(shop.order(**changes))
    pay_at_sandbox(attempt)
    facts = paid(attempt, paid_at=NOW)
    settle(attempt_id=attempt.pk, facts=facts, now=NOW)
    fulfil_paid_orders(now=NOW)
    return Order.objects.get(pk=attempt.order_id)


def refund_of(order: Order, **changes: Any) -> Refund:
    """Asked for by Ann, halfway through the period."""
    asked: dict[str, Any] = {
        "order": order,
        "effect": Effect.SHORTEN,
        "reason": "returned",
        "asked_by": ANN,
        "now": HALFWAY,
    }
    return request_refund(**asked | changes)


def work(wire: Loopback, at: datetime = HALFWAY) -> None:
    """Let the worker do all that is due at `at`, which is also real time."""
    wire.now = wire.wall = at
    for _ in range(20):
        if not work_refunds(now=at, wall=at):
            return
    raise AssertionError("The worker finds no end.")


def ends(shop: Shop) -> list[datetime | None]:
    """Ends of the shop's devices, in id order."""
    return list(
        DeviceService.objects.filter(device_id__in=shop.ids).order_by("device_id").values_list("ends_at", flat=True)
    )


def device_trouble(at: datetime) -> list[Violation]:
    """What is wrong with devices, apart from commands: nobody in these tests runs the sweep that gives them up."""
    return [each for each in violations(now=at) if each.name != "nothing_open_past_its_cache_time"]
