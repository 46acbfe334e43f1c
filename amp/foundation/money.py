"""Money as integer minor units with an ISO 4217 currency; no float anywhere (F38, F39).

199 yuan are 19900 in "CNY", 500 yen are 500 in "JPY". Amounts stay within ±10**15 minor units, so that neither a
sum nor a 64-bit column overflows; what goes beyond is refused, never rounded or cut.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_MINOR = 10**15
"""Largest amount in minor units, either sign (F38)."""

_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
        "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR "
        "ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR "
        "ZMW"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
MINOR_DIGITS = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
"""Decimals of each currency that a price may have."""

# CNY is the house currency of the market and owns the bare sign; the yen is told apart from it.
_SYMBOLS = {
    "CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "JP¥", "KRW": "₩", "INR": "₹", "HKD": "HK$", "TWD": "NT$",
    "AUD": "A$", "CAD": "CA$", "NZD": "NZ$", "BRL": "R$", "MXN": "MX$", "VND": "₫", "ILS": "₪",
}  # fmt: skip
_SYMBOLS_BY_LANGUAGE = {"zh": {"USD": "US$"}}


class UnknownCurrency(ValueError):
    """The code isn't an ISO 4217 currency that we sell in."""


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were to be added or compared."""


class AmountOutOfRange(ValueError):
    """The amount lies beyond MAX_MINOR."""


class InvalidAmount(ValueError):
    """A typed amount was refused; the message says what to type instead."""


def minor_digits(currency: str) -> int:
    """Decimals of `currency`: 2 for CNY, 0 for JPY, 3 for BHD. Raises UnknownCurrency."""
    try:
        return MINOR_DIGITS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency(f"“{str(currency)[:16]}” is not a currency code. Use ISO 4217, such as CNY.") from None


def check_minor(minor: int) -> int:
    """Return `minor` if it is an int within ±MAX_MINOR. Raises TypeError or AmountOutOfRange."""
    if isinstance(minor, bool) or not isinstance(minor, int):
        raise TypeError(f"Minor units are whole numbers, not {type(minor).__name__}.")
    if not -MAX_MINOR <= minor <= MAX_MINOR:
        raise AmountOutOfRange("The amount is too large.")
    return minor


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units of `currency`; checked when made, so a Money in hand is always a possible amount."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        check_minor(self.minor)
        minor_digits(self.currency)

    def _minor_of(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} can't be combined.")
        return other.minor

    def __add__(self, other: object) -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: object) -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor - self._minor_of(other), self.currency)

    def __mul__(self, quantity: object) -> "Money":
        if isinstance(quantity, bool) or not isinstance(quantity, int):
            return NotImplemented
        return Money(self.minor * quantity, self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor < self._minor_of(other)

    def __le__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor <= self._minor_of(other)


def _pattern(digits: int) -> str:
    return r"[0-9]{1,16}" + (rf"(\.[0-9]{{1,{digits}}})?" if digits else "")


def parse_amount(text: object, currency: str) -> int:
    """Minor units of an amount as a person types it: "199", "199.5", "199.50" (F38).

    Only ASCII digits and one point with at most the currency's decimals: no sign, exponent, separator, blank or other
    script's digits, nothing above MAX_MINOR. Raises InvalidAmount, or UnknownCurrency.
    """
    digits = minor_digits(currency)
    if not isinstance(text, str) or len(text) > 32 or not re.fullmatch(_pattern(digits), text):
        example = f"199.{'0' * digits}" if digits else "199"
        raise InvalidAmount(f"Type the amount in digits with at most {digits} decimals, such as {example}.")
    whole, _, fraction = text.partition(".")
    minor = int(whole + fraction.ljust(digits, "0"))
    if minor > MAX_MINOR:
        raise InvalidAmount("The amount is too large.")
    return minor


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` minor units in proportion to `weights` by the largest remainder (F39).

    The parts sum to exactly `total`, each is its exact share rounded down or up, and the units left over go to
    the largest remainders, the first of equals first. Raises ValueError for a negative total or weight, or
    for weights without a sum.
    """
    whole = sum(weights)
    if check_minor(total) < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError("Split an amount of at least 0 over weights of at least 0 with a sum above 0.")
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda n: -(total * weights[n] % whole))
    for n in by_remainder[: total - sum(parts)]:
        parts[n] += 1
    return parts


def split(total: int, parts: int) -> list[int]:
    """Split `total` minor units into `parts` equal shares; the first ones take the units left over (F39)."""
    if isinstance(parts, bool) or parts < 1:
        raise ValueError("Split an amount into at least 1 part.")
    return allocate(total, [1] * parts)


def decimal_text(minor: int, currency: str) -> str:
    """Plain decimal text for forms and files: "199.00", "500", "-1.250"; `parse_amount` reads it back."""
    digits = minor_digits(currency)
    whole, fraction = divmod(abs(check_minor(minor)), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}" + (f".{fraction:0{digits}}" if digits else "")


def _symbol(currency: str, language: str) -> str:
    by_language = _SYMBOLS_BY_LANGUAGE.get(language.lower().split("-")[0], {})
    return by_language.get(currency) or _SYMBOLS.get(currency) or f"{currency}\N{NO-BREAK SPACE}"


def format_money(minor: int, currency: str, language: str) -> str:
    """Amount for people: "¥1,990.00", "-$5.00", "JP¥500", "BHD 1.250" (with a no-break space).

    `language` is a tag such as "en" or "zh-hans": Chinese pages write "US$". A currency without a sign shows its code.
    """
    whole, point, fraction = decimal_text(abs(minor), currency).partition(".")
    sign = "-" if minor < 0 else ""
    return f"{sign}{_symbol(currency, language)}{int(whole):,}{point}{fraction}"
