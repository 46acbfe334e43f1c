"""What a request for a fapiao must say."""

from __future__ import annotations

import pytest

from billing.fapiao import Buyer, FapiaoStatus, Fault, faults, is_final

GOOD = Buyer("Warm Homes Ltd", "91310000MA1FL0XX8A", "accounts@example.com")


@pytest.mark.parametrize("length", [15, 18, 20])
def test_tax_numbers_have_15_to_20_characters(length: int) -> None:
    assert faults(GOOD._replace(tax_number="9" * length)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"title": ""}, Fault.TITLE),
        ({"title": "x" * 101}, Fault.TITLE),
        ({"tax_number": "9" * 14}, Fault.TAX_NUMBER),
        ({"tax_number": "9" * 21}, Fault.TAX_NUMBER),
        ({"tax_number": "9131-0000-MA1F-L0"}, Fault.TAX_NUMBER),
        ({"tax_number": "91310000MA1FL0XX8é"}, Fault.TAX_NUMBER),
        ({"tax_number": "９１３１００００ＭＡ１ＦＬ０"}, Fault.TAX_NUMBER),
        ({"email": "accounts"}, Fault.E_MAIL),
        ({"email": "a@b"}, Fault.E_MAIL),
        ({"email": "a@b.cn, c@d.cn"}, Fault.E_MAIL),
        ({"email": "a\n@b.cn"}, Fault.E_MAIL),
        ({"email": "<a@b.cn>"}, Fault.E_MAIL),
    ],
)
def test_each_fault_is_named(change: dict[str, str], fault: Fault) -> None:
    assert faults(GOOD._replace(**change)) == [fault]


def test_blanks_and_small_letters_are_forgiven() -> None:
    typed = Buyer("  Warm   Homes Ltd ", " 9131 0000 ma1f l0xx 8a ", " accounts@example.com ")
    assert typed.tidied() == GOOD


def test_only_a_request_can_still_be_decided() -> None:
    assert [status for status in FapiaoStatus if not is_final(status)] == [FapiaoStatus.REQUESTED]
