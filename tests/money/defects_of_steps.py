"""What would make a kill between two steps of money cost somebody: planted in a child of the zygote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from billing.orders import new_refund_number
from billing.services import fulfilment, notices, refund_work, settlement


class Piecemeal:
    """`django.db.transaction` that commits every statement by itself."""

    def __getattr__(self, name: str) -> Any:
        from django.db import transaction

        return getattr(transaction, name)

    def atomic(self, *_given: Any, **_more: Any) -> Any:
        """No transaction at all."""
        return nullcontext()


def settling_in_pieces() -> None:
    """Money is booked before the order knows of it."""
    honest = settlement.settle.__wrapped__  # type: ignore[attr-defined]
    settlement.PaymentAttempt.objects.none().__class__.select_for_update = lambda rows, **_: rows.all()
    notices.settle = honest


def fulfilling_in_pieces() -> None:
    """Devices are renewed before their lines are marked."""
    from django.db.models import QuerySet

    QuerySet.select_for_update = lambda rows, **_: rows.all()  # type: ignore[method-assign,assignment]
    fulfilment.transaction = Piecemeal()  # type: ignore[assignment]


def refunds_under_a_new_number() -> None:
    """Each call is another refund to the gateway."""
    honest = refund_work.gateway_of_attempt

    class Forgetful:
        def __init__(self, attempt: Any) -> None:
            self._honest = honest(attempt)

        def query_refund(self, refund_number: str, **more: Any) -> Any:
            return self._honest.query_refund(refund_number, **more)

        def refund(self, number: str, *, refund_number: str, amount: int, **more: Any) -> Any:
            made = self._honest.refund(number, refund_number=new_refund_number(), amount=1_000, **more)
            return made._replace(number=refund_number, amount=amount)

    refund_work.gateway_of_attempt = Forgetful  # type: ignore[assignment]


DEFECTS: dict[str, Callable[[], None]] = {
    "settling in pieces": settling_in_pieces,
    "fulfilling in pieces": fulfilling_in_pieces,
    "refunds under a new number": refunds_under_a_new_number,
}


def plant(name: str) -> None:
    """In this process only."""
    DEFECTS[name]()
