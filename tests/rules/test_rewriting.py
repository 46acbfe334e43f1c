"""How a person's traces leave one value, and what is left alone (X6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp.personal.rewriting import Rewriting, Trace, TraceKind, is_pseudonym, only_own

EMAIL, NAME, PAYER, NUMBER = TraceKind
NEW = "person-0123456789ab"
TRACES = [
    Trace(EMAIL, "li@example.com"),
    Trace(NAME, "Li Wei"),
    Trace(NAME, "李伟"),
    Trace(NAME, "Al"),
    Trace(PAYER, "oX-1_a"),
    Trace(NUMBER, "13800138000"),
]


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("li@example.com", f"{NEW}@erased.invalid"),
        ("LI@Example.com", f"{NEW}@erased.invalid"),
        ("asked by li@example.com.", f"asked by {NEW}@erased.invalid."),
        ("ali@example.com li@example.com.cn x.li@example.com", None),
        ("Li Wei", NEW),
        ("as Li Wei said", f"as {NEW} said"),
        ("Li Weimar", None),
        ("客户李伟要求退款", f"客户{NEW}要求退款"),
        ("Al", NEW),
        ("Al and others", None),
        ("payer oX-1_a", f"payer {NEW}"),
        ("payer oX-1_ab", None),
        ("call 13800138000", f"call {NEW}"),
        ("138001380001", None),
        ("", None),
    ],
)
def test_one_text(value: str, after: str | None) -> None:
    assert Rewriting(TRACES, NEW).of(value) == (value if after is None else after)


def test_documents_change_in_their_leaves_and_names_and_nothing_else_does() -> None:
    before = {"user": "li@example.com", "n": 3, "none": None, "who": ["Li Wei", {"li@example.com": True}]}
    after = {"user": f"{NEW}@erased.invalid", "n": 3, "none": None, "who": [NEW, {f"{NEW}@erased.invalid": True}]}
    assert Rewriting(TRACES, NEW).of(before) == after


@given(st.text(max_size=40), st.text(max_size=40))
def test_twice_is_once_and_no_address_is_left(before: str, after: str) -> None:
    rewriting = Rewriting(TRACES, NEW)
    once = rewriting.of(f"{before} li@example.com {after}")
    assert rewriting.of(once) == once
    assert " li@example.com " not in once


def test_a_pseudonym_is_told_from_a_person() -> None:
    assert is_pseudonym(NEW)
    assert is_pseudonym(f"{NEW}@erased.invalid")
    assert not is_pseudonym("person-1@example.com")


def test_others_are_hidden_from_whom_an_export_is_for() -> None:
    assert only_own({"a": "li@example.com asked bo@example.com"}, TRACES) == {"a": "li@example.com asked …"}
