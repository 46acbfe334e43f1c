"""Money in integer minor units (F38, F39)."""

import ast
import inspect
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp.foundation import money
from amp.foundation.money import (
    MAX_MINOR,
    MINOR_DIGITS,
    AmountOutOfRange,
    CurrencyMismatch,
    InvalidAmount,
    Money,
    UnknownCurrency,
    allocate,
    decimal_text,
    format_money,
    minor_digits,
    parse_amount,
    split,
)

currencies = st.sampled_from(sorted(MINOR_DIGITS))
amounts = st.integers(0, MAX_MINOR)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("199", "CNY", 19900),
        ("199.5", "CNY", 19950),
        ("199.50", "CNY", 19950),
        ("0", "CNY", 0),
        ("0.01", "USD", 1),
        ("007", "EUR", 700),
        ("500", "JPY", 500),
        ("1.250", "BHD", 1250),
        ("10000000000000.00", "CNY", MAX_MINOR),
    ],
)
def test_typed_amounts_become_minor_units(text, currency, minor):
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", "1e3", "1E3", "NaN", "Infinity", "inf", "1.234", "1.", ".5", "1,000", "1 000", "1_000", "٣",
     "１９９", "²", "0x10", "1.2.3", "¥5", "199\n", " 199", "10000000000000.01",
     "9" * 16, "9" * 5000, None, 5, 5.0, True, b"5"],
)  # fmt: skip
def test_every_other_way_to_write_an_amount_is_refused(text):
    """F38: signs, exponents, NaN, other scripts' digits, too many decimals, overflow."""
    with pytest.raises(InvalidAmount, match=r"amount"):
        parse_amount(text, "CNY")


def test_yen_have_no_decimals():
    with pytest.raises(InvalidAmount, match="at most 0 decimals, such as 199"):
        parse_amount("1.0", "JPY")


@pytest.mark.parametrize("currency", ["", "cny", "RMB", "XXX", None, 5, [], "C" * 9999])
def test_an_unknown_currency_is_refused(currency):
    with pytest.raises(UnknownCurrency, match="ISO 4217"):
        minor_digits(currency)
    with pytest.raises(UnknownCurrency):
        Money(1, currency)


@given(amounts, currencies)
def test_what_is_written_is_read_back(minor, currency):
    assert parse_amount(decimal_text(minor, currency), currency) == minor


@given(st.text(max_size=40), currencies)
def test_any_text_is_read_exactly_or_refused(text, currency):
    """F38: never another exception, never a rounded number."""
    try:
        minor = parse_amount(text, currency)
    except InvalidAmount:
        return
    assert Decimal(text).scaleb(minor_digits(currency)) == minor


@given(amounts, st.integers(1, 500))
def test_equal_shares_sum_to_the_total_and_differ_by_one_unit_at_most(total, parts):
    """F39."""
    shares = split(total, parts)
    assert sum(shares) == total
    assert len(shares) == parts
    assert max(shares) - min(shares) <= 1


@given(amounts, st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any))
def test_weighted_shares_lose_no_unit_and_stay_within_one_of_the_exact_share(total, weights):
    """F39: largest remainder."""
    shares = allocate(total, weights)
    whole = sum(weights)
    assert sum(shares) == total
    assert all(abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True))


def test_the_largest_remainder_gets_the_odd_unit():
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(10, [1, 2, 3]) == [2, 3, 5]
    assert allocate(100, [1, 1, 1]) != [100 * 1 // 3] * 3  # rounding each share down would lose a cent


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [0]), (1, [2, -1]), (MAX_MINOR + 1, [1])])
def test_an_impossible_split_is_refused(total, weights):
    with pytest.raises(ValueError, match=r"Split|too large"):
        allocate(total, weights)


@pytest.mark.parametrize("parts", [0, -1, True])
def test_a_split_into_no_parts_is_refused(parts):
    with pytest.raises(ValueError, match="at least 1"):
        split(100, parts)


def test_money_adds_and_multiplies_within_its_currency():
    price = Money(19900, "CNY")
    assert price * 3 == 3 * price == Money(59700, "CNY")
    assert price + Money(100, "CNY") - Money(50, "CNY") == Money(19950, "CNY")
    assert -price == Money(-19900, "CNY")
    assert Money(1, "CNY") < price <= price


@pytest.mark.parametrize("combine", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a <= b])
def test_two_currencies_are_never_combined(combine):
    with pytest.raises(CurrencyMismatch, match="CNY and USD"):
        combine(Money(1, "CNY"), Money(1, "USD"))


def test_an_overflow_is_refused():
    """F38: 10^12 x 10^6."""
    with pytest.raises(AmountOutOfRange):
        Money(10**12, "CNY") * 10**6
    with pytest.raises(AmountOutOfRange):
        Money(MAX_MINOR, "CNY") + Money(1, "CNY")


@pytest.mark.parametrize("minor", [1.0, "1", True, None, Decimal(1)])
def test_minor_units_are_whole_numbers(minor):
    with pytest.raises(TypeError):
        Money(minor, "CNY")


@pytest.mark.parametrize("factor", [1.5, "2", True, Decimal(2)])
def test_money_is_multiplied_by_whole_numbers_only(factor):
    with pytest.raises(TypeError):
        Money(1, "CNY") * factor


@pytest.mark.parametrize(
    ("minor", "currency", "language", "text"),
    [
        (19900, "CNY", "en", "¥199.00"),
        (19900, "CNY", "zh-hans", "¥199.00"),
        (500, "USD", "en", "$5.00"),
        (500, "USD", "zh-hans", "US$5.00"),
        (1200, "JPY", "en", "JP¥1,200"),
        (1250, "BHD", "en", "BHD\N{NO-BREAK SPACE}1.250"),
        (-199000, "CNY", "en", "-¥1,990.00"),
        (5, "EUR", "en", "€0.05"),
        (0, "CNY", "en", "¥0.00"),
        (123456789, "CNY", "en", "¥1,234,567.89"),
    ],
)
def test_amounts_are_written_for_people(minor, currency, language, text):
    assert format_money(minor, currency, language) == text


def test_no_float_is_anywhere_in_the_money_rules():
    tree = ast.parse(inspect.getsource(money))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "float"]
