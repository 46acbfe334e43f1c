"""What an order costs (Q2, F38, F39): N equal lines of one price, in integer minor units."""

from __future__ import annotations

from amp.foundation.money import AmountOutOfRange, check_minor, minor_digits
from billing.orders import MAX_LINES


class OrderSizeRefused(ValueError):
    """An order has 1 to 10,000 devices (Q1)."""


def order_total(unit_amount: int, currency: str, lines: int) -> int:
    """Minor units of `lines` × `unit_amount`; the sum of the lines is the total by construction.

    Raises OrderSizeRefused, UnknownCurrency, TypeError for anything but whole numbers, AmountOutOfRange for a negative
    price or a total beyond what a column holds.
    """
    if isinstance(lines, bool) or not isinstance(lines, int):
        raise TypeError("The number of devices is a whole number.")
    if not 1 <= lines <= MAX_LINES:
        raise OrderSizeRefused(f"An order has 1 to {MAX_LINES:,} devices, not {lines:,}.")
    minor_digits(currency)
    if check_minor(unit_amount) < 0:
        raise AmountOutOfRange("A price is never negative.")
    return check_minor(unit_amount * lines)
