"""A buyer: one order at one seller, everybody who has to do with it, and how it must end."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from billing.models import Effect, Order, PaymentAttempt, PaymentException, Refund
from billing.orders import ExceptionKind
from billing.refunds import Resolution
from billing.services.ordering import cancel_order
from billing.services.refunds import approve_refund, request_refund
from billing.services.resolving import resolve_exception
from devices.models import Device
from devices.services.registration import terminate_device
from tests.services.refunding import ANN, BOB

if TYPE_CHECKING:
    from tests.money.day import Day
    from tests.money.tills import Till

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
Play = Generator[timedelta, None, "Ending"]


class Ending(NamedTuple):
    """How an order ends. Amounts are minor units of `currency`; `received` = what is applied, refunded and unapplied.

    `renewals` says how often each device was renewed by it, `open_cases` what waits for a person.
    """

    status: str
    applied: int = 0
    refunded: int = 0
    unapplied: int = 0
    currency: str = "CNY"
    renewed: tuple[int, ...] = ()
    open_cases: tuple[str, ...] = ()


@dataclass(eq=False, repr=False)
class Buyer:
    """One order at one seller, and everybody who has to do with it."""

    day: Day
    till: Till
    number: int
    story: str
    chance: random.Random
    order: Order = field(init=False, repr=False)
    ids: list[int] = field(default_factory=list)
    ending: Ending | None = None

    def buys(self, most: int = 3, **known: Any) -> PaymentAttempt:
        """An order for one to `most` new devices, with a code to pay it."""
        self.ids = known.get("ids") or self.till.devices(self.chance.randint(1, most), prefix=f"n{self.number}x")
        self.order = self.till.shop.order(device_ids=self.ids, now=self.day.now)
        return self.asks_for_code()

    def asks_for_code(self, **changes: Any) -> PaymentAttempt:
        """A payment of the order."""
        now, wall = self.day.now, self.day.wire.wall
        return self.till.shop.attempt(self.order, provider_account=self.till.account, now=now, wall=wall, **changes)

    def pays(self, attempt: PaymentAttempt, fault: str = "") -> None:
        """At the gateway."""
        attempt.refresh_from_db()
        self.till.pay(attempt, fault)

    def waits(self, least: float = 5, most: float = 100) -> timedelta:
        """A while, in seconds."""
        return SECOND * self.chance.uniform(least, most)

    def resolves(self, kind: ExceptionKind, resolution: Resolution) -> None:
        """Staff decide about the order's case."""
        case = PaymentException.objects.get(attempt__order=self.order, kind=kind.value)
        resolve_exception(exception=case, resolution=resolution, reason="as agreed", by=ANN, now=self.day.now)
        self._approve()

    def refunds(self, **wish: Any) -> Refund:
        """Staff give money back, with a second person where the amount asks for one."""
        wish = {"effect": self.chance.choice(list(Effect)), "reason": "returned", "asked_by": ANN} | wish
        made = request_refund(order=self.order, now=self.day.now, **wish)
        self._approve()
        return made

    def cancels(self) -> None:
        """Staff give the order up."""
        cancel_order(order=self.order, actor=ANN, now=self.day.now)

    def terminates(self, device_ids: list[int]) -> None:
        """Staff end these devices' services for good."""
        for device in Device.objects.filter(pk__in=device_ids):
            terminate_device(device=device, actor=ANN, now=self.day.now)

    @property
    def status(self) -> str:
        """Of the order, now."""
        return str(Order.objects.values_list("status", flat=True).get(pk=self.order.pk))

    def _approve(self) -> None:
        for refund in Refund.objects.filter(order=self.order, status="REQUESTED"):
            approve_refund(refund=refund, by=BOB, now=self.day.now)

    @property
    def total(self) -> int:
        """What the order costs."""
        return self.till.price * len(self.ids)

    def fulfilled(self, **changes: Any) -> Ending:
        """Paid once, applied once."""
        return Ending("FULFILLED", applied=self.total, renewed=tuple(self.ids))._replace(**changes)
