"""Refunds as rules: states, the second person, what unused time is worth, and how much time money buys back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.orders import ExceptionKind
from billing.refunds import (
    LIVE,
    RESOLUTIONS,
    TRANSITIONS,
    LineShare,
    RefundStatus,
    RefundStepRefused,
    check_step,
    needs_another,
    next_ask,
    shared,
    suggested,
    time_for,
)
from devices.lifecycle import Facts, State
from devices.periods import cut, unused_time

NOW = datetime(2026, 3, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
DAY = timedelta(days=1)


@st.composite
def line_shares(draw: st.DrawFn) -> LineShare:
    amount = draw(st.integers(1, 10**9))
    length = draw(st.integers(86_400, 10**8))
    unused = draw(st.integers(0, length))
    return LineShare(
        amount, draw(st.integers(1, amount)), timedelta(seconds=length), timedelta(seconds=unused, microseconds=3)
    )


@pytest.mark.parametrize("old", RefundStatus)
@pytest.mark.parametrize("new", RefundStatus)
def test_a_refund_takes_only_the_steps_of_the_table(old: RefundStatus, new: RefundStatus) -> None:
    steps = {
        ("REQUESTED", "APPROVED"),
        ("REQUESTED", "FAILED"),
        ("APPROVED", "PROCESSING"),
        ("PROCESSING", "SUCCEEDED"),
        ("PROCESSING", "FAILED"),
    }
    if (old.value, new.value) in steps:
        check_step(old, new)
    else:
        with pytest.raises(RefundStepRefused):
            check_step(old, new)


def test_what_is_live_can_still_change_and_nothing_else() -> None:
    assert {status for status in RefundStatus if TRANSITIONS[status]} == LIVE


@pytest.mark.parametrize(("amount", "another"), [(999, False), (1_000, False), (1_001, True)])
def test_another_person_is_needed_above_the_threshold_never_at_it(amount: int, another: bool) -> None:
    assert needs_another(amount, 1_000) is another


def test_every_kind_of_case_has_a_way_out() -> None:
    assert set(RESOLUTIONS) == set(ExceptionKind)
    assert all(RESOLUTIONS.values())


def test_half_a_year_unused_is_worth_half_F39() -> None:
    line = LineShare(19_900, 19_900, YEAR, YEAR / 2)
    assert suggested([line]) == [9_950]
    assert time_for(9_950, line) == YEAR / 2
    assert time_for(4_975, line) == YEAR / 4


def test_units_left_over_go_to_the_largest_remainders_F39() -> None:
    third = LineShare(100, 100, 3 * DAY, DAY)
    assert suggested([third, third, third]) == [34, 33, 33]


def test_a_line_that_was_never_applied_is_worth_all_of_it() -> None:
    line = LineShare(19_900, 19_900, timedelta(), timedelta())
    assert suggested([line]) == [19_900]
    assert time_for(19_900, line) == timedelta()


@given(st.lists(line_shares(), min_size=1, max_size=8))
def test_no_line_is_suggested_more_than_is_left_of_it(lines: list[LineShare]) -> None:
    for part, line in zip(suggested(lines), lines, strict=True):
        assert 0 <= part <= line.refundable


@given(st.lists(line_shares(), min_size=1, max_size=8), st.data())
def test_any_amount_is_shared_to_the_last_unit_within_each_line_F39(
    lines: list[LineShare], data: st.DataObject
) -> None:
    amount = data.draw(st.integers(1, sum(line.refundable for line in lines)))
    parts = shared(amount, lines)
    assert sum(parts) == amount
    assert all(0 <= part <= line.refundable for part, line in zip(parts, lines, strict=True))


@pytest.mark.parametrize("amount", [0, -1, 19_901])
def test_more_than_is_left_is_never_shared_F44(amount: int) -> None:
    with pytest.raises(ValueError, match="at most"):
        shared(amount, [LineShare(19_900, 19_900, YEAR, YEAR)])


@given(line_shares(), st.data())
def test_money_buys_back_at_most_the_unused_time_and_all_of_it_for_its_worth(
    line: LineShare, data: st.DataObject
) -> None:
    amount = data.draw(st.integers(1, line.refundable))
    assert timedelta() <= time_for(amount, line) <= line.unused
    assert time_for(max(1, suggested([line])[0]), line) == line.unused


def test_the_gateway_is_asked_less_and_less_often_but_never_given_up() -> None:
    gaps = [next_ask(n, NOW) - NOW for n in range(1, 40)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (timedelta(seconds=5), timedelta(hours=1))


def facts(**changes: object) -> Facts:
    usual = Facts(State.ACTIVE, 1, 0, 0, None, (), None, True, None, NOW - YEAR, 24, NOW + YEAR, NOW - DAY)
    return usual._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "taken"), [(DAY, DAY), (YEAR, YEAR), (2 * YEAR, YEAR), (None, YEAR), (timedelta(), None)]
)
def test_time_is_taken_from_the_end_and_never_from_the_past_A14(
    wanted: timedelta | None, taken: timedelta | None
) -> None:
    made = cut(facts(), wanted=wanted, now=NOW)
    assert (made and made.taken) == taken
    assert made is None or made.ends_at == NOW + YEAR - (taken or timedelta())


def test_no_end_is_set_before_the_last_event_R8() -> None:
    made = cut(facts(last_event_at=NOW + DAY), wanted=None, now=NOW)
    assert made
    assert made.ends_at == NOW + DAY


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACTIVE])
def test_where_nothing_runs_nothing_can_be_taken(state: State) -> None:
    assert cut(facts(state=state), wanted=None, now=NOW) is None


def test_unused_is_what_lies_ahead_without_what_was_taken_before() -> None:
    start, end = NOW - DAY, NOW + 9 * DAY
    assert unused_time(start, end, now=NOW) == 9 * DAY
    assert unused_time(start, end, now=NOW, taken=2 * DAY) == 7 * DAY
    assert unused_time(start, end, now=NOW - 5 * DAY) == 10 * DAY
    assert unused_time(start, end, now=end + DAY) == timedelta()
