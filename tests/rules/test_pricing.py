"""What an order costs (Q1, Q2, F38, F39)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp.foundation.money import MAX_MINOR, AmountOutOfRange, UnknownCurrency
from billing.orders import MAX_LINES
from billing.pricing import OrderSizeRefused, order_total


@given(st.integers(0, 10**11), st.integers(1, MAX_LINES))
def test_the_total_is_the_sum_of_its_lines(unit: int, lines: int) -> None:
    assert order_total(unit, "CNY", lines) == sum([unit] * lines)


@pytest.mark.parametrize("lines", [0, -1, MAX_LINES + 1])
def test_an_order_has_1_to_10_000_devices_Q1(lines: int) -> None:
    with pytest.raises(OrderSizeRefused, match="1 to 10,000"):
        order_total(19_900, "CNY", lines)


def test_money_is_never_cut_rounded_or_negative_F38() -> None:
    with pytest.raises(AmountOutOfRange):
        order_total(10**12, "CNY", MAX_LINES)
    with pytest.raises(AmountOutOfRange):
        order_total(-1, "CNY", 1)
    with pytest.raises(TypeError):
        order_total(19.9, "CNY", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        order_total(1, "CNY", True)
    with pytest.raises(UnknownCurrency):
        order_total(1, "RMB", 1)
    assert order_total(MAX_MINOR // MAX_LINES, "JPY", MAX_LINES) == MAX_MINOR
