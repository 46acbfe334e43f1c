"""Numbers, transitions, the settle table and the query plan of orders (Q2, F24–F31)."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.orders import (
    ALPHABET,
    ATTEMPT_NUMBER,
    LATE_CHECKS,
    ORDER_NUMBER,
    TRANSITIONS,
    AttemptFacts,
    AttemptStatus,
    ExceptionKind,
    GatewayFacts,
    GatewayState,
    OrderStatus,
    Outcome,
    TransitionRefused,
    check_transition,
    new_attempt_number,
    new_order_number,
    next_query,
    success_time,
    verdict,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAID = GatewayFacts("A" * 24, GatewayState.PAID, "BSS-1", 19_900, "CNY", "TX1", NOW)
WAITING = AttemptFacts(AttemptStatus.PENDING, 19_900, "CNY", "BSS-1")
DONE = WAITING._replace(status=AttemptStatus.PAID, transaction_id="TX1")


def test_order_numbers_are_readable_and_attempt_numbers_fit_every_gateway() -> None:
    numbers = {new_order_number() for _ in range(500)}
    assert len(numbers) == 500
    assert all(ORDER_NUMBER.fullmatch(number) for number in numbers)
    assert not set("01OILU") & set(ALPHABET)
    attempts = {new_attempt_number() for _ in range(500)}
    assert len(attempts) == 500
    assert all(ATTEMPT_NUMBER.fullmatch(number) for number in attempts)
    assert re.fullmatch(r"[A-Z2-9]{24}", attempts.pop())


def test_an_ended_order_may_still_become_paid_and_nothing_leaves_refunded_Q2() -> None:
    assert {old for old, new in TRANSITIONS.items() if OrderStatus.PAID in new} == {
        OrderStatus.PENDING,
        OrderStatus.EXPIRED,
        OrderStatus.CANCELLED,
        OrderStatus.PARTIALLY_FULFILLED,  # what could not be applied is tried again
    }
    assert not TRANSITIONS[OrderStatus.REFUNDED]
    check_transition(OrderStatus.PAID, OrderStatus.FULFILLED)
    with pytest.raises(TransitionRefused, match="FULFILLED can't become PENDING"):
        check_transition(OrderStatus.FULFILLED, OrderStatus.PENDING)


def test_a_payment_of_exactly_what_was_asked_pays_the_order() -> None:
    decided = verdict(OrderStatus.PENDING, WAITING, PAID)
    assert decided == (Outcome.PAID, AttemptStatus.PAID, OrderStatus.PAID, None)
    assert decided.receives


@pytest.mark.parametrize("order", list(OrderStatus))
def test_the_same_notice_again_changes_nothing_F24(order: OrderStatus) -> None:
    assert verdict(order, DONE, PAID) == (Outcome.NOTHING_NEW, None, None, None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": 19_899}, ExceptionKind.AMOUNT_MISMATCH),
        ({"amount": 19_901}, ExceptionKind.AMOUNT_MISMATCH),
        ({"amount": 0}, ExceptionKind.AMOUNT_MISMATCH),
        ({"currency": "USD"}, ExceptionKind.AMOUNT_MISMATCH),
        ({"merchant_id": "BSS-2"}, ExceptionKind.MERCHANT_MISMATCH),
        ({"merchant_id": ""}, ExceptionKind.MERCHANT_MISMATCH),
        ({"merchant_id": "BSS-2", "amount": 1}, ExceptionKind.MERCHANT_MISMATCH),
    ],
)
@pytest.mark.parametrize("order", [OrderStatus.PENDING, OrderStatus.EXPIRED, OrderStatus.FULFILLED])
def test_what_differs_pays_for_nothing_and_goes_before_a_person_F30(
    order: OrderStatus, change: dict[str, object], problem: ExceptionKind
) -> None:
    decided = verdict(order, WAITING, PAID._replace(**change))  # type: ignore[arg-type]
    assert decided == (Outcome.MISMATCH, AttemptStatus.PAID, None, problem)
    assert decided.receives


@pytest.mark.parametrize("order", [OrderStatus.EXPIRED, OrderStatus.CANCELLED])
@pytest.mark.parametrize("attempt", [AttemptStatus.PENDING, AttemptStatus.CLOSED, AttemptStatus.UNKNOWN])
def test_a_late_payment_is_honoured_and_flagged_F27(order: OrderStatus, attempt: AttemptStatus) -> None:
    decided = verdict(order, WAITING._replace(status=attempt), PAID)
    assert decided == (Outcome.PAID_LATE, AttemptStatus.PAID, OrderStatus.PAID, ExceptionKind.LATE)


@pytest.mark.parametrize(
    "order", [OrderStatus.PAID, OrderStatus.FULFILLED, OrderStatus.PARTIALLY_FULFILLED, OrderStatus.REFUNDED]
)
def test_a_second_payment_leaves_a_paid_order_as_it_is_F31(order: OrderStatus) -> None:
    assert verdict(order, WAITING, PAID) == (
        Outcome.SECOND_PAYMENT,
        AttemptStatus.PAID,
        None,
        ExceptionKind.SECOND_PAYMENT,
    )


def test_another_transaction_of_a_paid_attempt_is_a_second_payment_F31() -> None:
    decided = verdict(OrderStatus.FULFILLED, DONE, PAID._replace(transaction_id="TX2"))
    assert decided == (Outcome.SECOND_PAYMENT, None, None, ExceptionKind.SECOND_PAYMENT)


def test_a_transaction_that_is_booked_elsewhere_is_not_booked_again() -> None:
    assert verdict(OrderStatus.PENDING, WAITING._replace(taken=True), PAID) == (Outcome.TAKEN, None, None, None)


@pytest.mark.parametrize("state", [GatewayState.NOT_PAID, GatewayState.CLOSED, GatewayState.NOT_FOUND])
def test_not_paid_after_paid_is_ignored(state: GatewayState) -> None:
    assert verdict(OrderStatus.PAID, DONE, GatewayFacts("A", state)) == (Outcome.NOTHING_NEW, None, None, None)


def test_a_trade_that_the_gateway_does_not_know_is_normal_and_not_final() -> None:
    assert verdict(OrderStatus.PENDING, WAITING, GatewayFacts("A", GatewayState.NOT_FOUND)).attempt_to is None
    closed = verdict(OrderStatus.PENDING, WAITING, GatewayFacts("A", GatewayState.CLOSED))
    assert closed.attempt_to is AttemptStatus.CLOSED
    assert not closed.receives


@given(
    st.sampled_from(OrderStatus),
    st.sampled_from(AttemptStatus),
    st.sampled_from(GatewayState),
    st.integers(0, 3),
    st.sampled_from(["TX1", "TX2"]),
)
def test_an_order_only_ever_becomes_paid_by_its_exact_amount(
    order: OrderStatus, status: AttemptStatus, state: GatewayState, amount: int, transaction: str
) -> None:
    attempt = WAITING._replace(amount=2, status=status, transaction_id="TX1" if status is AttemptStatus.PAID else None)
    decided = verdict(order, attempt, PAID._replace(state=state, amount=amount, transaction_id=transaction))
    if decided.order_to:
        check_transition(order, decided.order_to)
        assert (state, amount) == (GatewayState.PAID, 2)
    if decided.receives:
        assert state is GatewayState.PAID
        assert decided.order_to or decided.problem


def test_queries_come_at_10_s_30_s_1_2_5_minutes_then_every_5_until_expiry_and_after_it() -> None:
    expires, moments, now = NOW + timedelta(minutes=30), [], NOW
    while due := next_query(created_at=NOW, expires_at=expires, now=now):
        moments.append(due)
        now = due
    seconds = [int((moment - NOW).total_seconds()) for moment in moments]
    assert seconds[:10] == [10, 30, 60, 120, 300, 600, 900, 1200, 1500, 1800 + 60]
    assert moments[9:] == [expires + late for late in LATE_CHECKS]
    assert [int(late.total_seconds()) for late in LATE_CHECKS] == [60, 600, 3600, 7500, 86_400]


def test_after_an_outage_there_is_one_query_not_a_burst() -> None:
    expires = NOW + timedelta(minutes=30)
    after_outage = next_query(created_at=NOW, expires_at=expires, now=NOW + timedelta(minutes=12))
    assert after_outage == NOW + timedelta(minutes=15)
    assert next_query(created_at=NOW, expires_at=expires, now=expires + timedelta(days=2)) is None


def test_the_success_time_is_the_gateways_within_what_can_be_true_A16() -> None:
    def at(paid_at: datetime | None) -> datetime:
        return success_time(PAID._replace(paid_at=paid_at), created_at=NOW, now=NOW + timedelta(hours=1))

    assert at(NOW + timedelta(minutes=3)) == NOW + timedelta(minutes=3)
    assert at(NOW + timedelta(days=3)) == NOW + timedelta(hours=1)
    assert at(NOW - timedelta(days=3)) == NOW
    assert at(None) == NOW + timedelta(hours=1)
