"""What a receipt says: read from the order's frozen copy and the money ledger, never computed anew (R9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import CharField, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from amp.foundation.services.refusals import Refused
from billing.models import EntryKind, LineStatus, MoneyEntry, Order, OrderLine
from billing.orders import SETTLED

PAYERS_TAIL = 4
"""What a payer's receipt tells of the serial number, as the renewal page does (F85)."""


class NoReceipt(Refused):
    """The order isn't paid."""


class ReceiptLine(NamedTuple):
    """One device: what it is called, what it costs, whether it was renewed, and until when."""

    device: str
    amount: int
    is_applied: bool
    is_unapplied: bool
    ends_at: datetime | None


class Movement(NamedTuple):
    """Money that came in or went back: our number, the gateway and its own number, and when."""

    amount: int
    currency: str
    at: datetime
    number: str
    provider: str
    gateway: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """One paid order on paper. Amounts are minor units of `order.currency`."""

    order: Order
    seller: str
    lines: Sequence[ReceiptLine]
    payments: Sequence[Movement]
    refunds: Sequence[Movement]

    @property
    def refunded(self) -> int:
        """What went back."""
        return sum(each.amount for each in self.refunds if each.currency == self.order.currency)

    @property
    def remaining(self) -> int:
        """What the payer has paid in the end."""
        return self.order.total - self.refunded

    @property
    def is_test(self) -> bool:
        """Sandbox money, which is none."""
        return any(each.provider == "sandbox" for each in self.payments)

    @property
    def unapplied(self) -> int:
        """Devices that were paid for and could not be renewed."""
        return sum(line.is_unapplied for line in self.lines)


def receipt_of(order: Order, *, for_payer: bool = False, most_lines: int | None = None) -> Receipt:
    """The receipt of a paid order, with at most `most_lines` of its devices; three queries however many there are.

    A payer's names devices by product and the end of the serial number only. Raises NoReceipt.
    """
    if order.paid_at is None or order.status not in {status.value for status in SETTLED}:
        raise NoReceipt.because(_("There is a receipt once the order is paid."))
    moved = _movements(order)
    return Receipt(
        order=order,
        seller=order.enterprise.name,
        lines=_lines(order, for_payer=for_payer, most=most_lines),
        payments=[move for kind, move in moved if kind == EntryKind.RECEIVED.value],
        refunds=[move for kind, move in moved if kind == EntryKind.REFUNDED.value],
    )


def _lines(order: Order, *, for_payer: bool, most: int | None) -> list[ReceiptLine]:
    rows = OrderLine.objects.filter(order=order).order_by("pk")[:most]
    columns = ("device__key", "device__name", "device__serial", "device__product__name", "amount", "status", "ends_at")
    return [
        ReceiptLine(
            f"{product} · …{(serial or key)[-PAYERS_TAIL:]}" if for_payer else _named(key, name),
            *(amount, status == LineStatus.APPLIED.value, status == LineStatus.UNAPPLIED.value, ends_at),
        )
        for key, name, serial, product, amount, status, ends_at in rows.values_list(*columns)
    ]


def _named(key: str, name: str) -> str:
    return f"{key} · {name}" if name and name != key else key


def _movements(order: Order) -> list[tuple[str, Movement]]:
    """The payment that pays for the order, and what went back of its lines, oldest first.

    Money that no line has used, a second payment say, is no part of the price; nor is what of it went back (F31).
    """
    pays = Q(kind=EntryKind.RECEIVED.value, source=Concat(Value("attempt:"), Cast("attempt_id", CharField())))
    entries = MoneyEntry.objects.filter(attempt__order=order, attempt__settles=True)
    entries = entries.filter(pays | Q(kind=EntryKind.REFUNDED.value, line__isnull=False))
    return [
        (
            entry.kind,
            Movement(
                entry.amount,
                entry.currency,
                _when(entry),
                entry.attempt.number,
                entry.attempt.provider,
                entry.attempt.account.get_provider_display(),
                entry.attempt.reference,
            ),
        )
        for entry in entries.select_related("attempt__account").order_by("pk")
    ]


def _when(entry: MoneyEntry) -> datetime:
    """A payment counts from the gateway's success time (A16), everything else from when it was booked."""
    is_payment = entry.kind == EntryKind.RECEIVED.value
    return (entry.attempt.paid_at if is_payment else None) or entry.created_at
