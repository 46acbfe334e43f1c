"""24 callers settle the same payment at once: one renewal, and more without the locks (R1, R2, F24, F25, F31)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models import QuerySet

from billing.models import Order, OrderStatus, PaymentAttempt
from billing.services import settlement
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.settlement import settle
from devices.services import renewal
from tests.services.gateway import books_in_order
from tests.services.shop import MINUTE, NOW, Shop, kinds, money, open_shop, paid, paid_periods
from tests.stack.waiting import at_once, failures

__all__ = ["books_in_order"]

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + 5 * MINUTE
CROWD = 24
PRICE = 19_900


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def test_24_settles_of_one_payment_at_once_renew_its_device_exactly_once_F25(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = shop.attempt()
    _make_them_meet(monkeypatch)
    assert failures(at_once(*[lambda: _settle_and_fulfil(attempt)] * CROWD)) == []
    assert paid_periods(shop) == 1
    assert money(attempt.order) == {"RECEIVED": PRICE, "APPLIED": PRICE}
    assert Order.objects.get(pk=attempt.order_id).status == OrderStatus.FULFILLED.value
    assert kinds(f"order:{attempt.order_id}") == ["order.created", "order.paid", "order.fulfilled"]


def test_without_the_row_locks_and_unique_guards_24_settles_renew_the_device_more_than_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the crowd above does collide, and only our protections keep the second renewal away."""
    attempt = shop.attempt()
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
    _make_them_meet(monkeypatch)
    with _unguarded("billing_moneyentry", "devices_period", "devices_command"):
        at_once(*[lambda: _settle_and_fulfil(attempt)] * CROWD)
        renewals, booked = paid_periods(shop), money(attempt.order)["RECEIVED"]
        with connection.cursor() as cursor:  # what nobody guarded leaves, with whatever it was about
            cursor.execute("TRUNCATE billing_order, devices_period, devices_command CASCADE")
    assert renewals > 1
    assert booked > PRICE


def test_without_the_row_locks_alone_the_unique_guards_still_renew_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second fails in the database, and the next sweep finds the rest of the work."""
    attempt = shop.attempt()
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
        _make_them_meet(patch)
        failed = failures(at_once(*[lambda: _settle_and_fulfil(attempt)] * CROWD))
    assert len(failed) == CROWD - 1
    assert {type(failure) for failure in failed} == {IntegrityError}
    fulfil_paid_orders(now=LATER + 10 * MINUTE)
    assert paid_periods(shop) == 1
    assert money(attempt.order) == {"RECEIVED": PRICE, "APPLIED": PRICE}


def test_two_payments_of_one_order_at_once_settle_it_once_F31(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shop.order()
    attempts = [shop.attempt(order, new_code=True) for _ in range(6)]
    turns = iter(attempts * 4)
    _make_them_meet(monkeypatch)
    lock = threading.Lock()

    def one() -> None:
        with lock:
            attempt = next(turns)
        settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)

    assert failures(at_once(*[one] * CROWD)) == []
    fulfil_paid_orders(now=LATER)
    assert PaymentAttempt.objects.filter(settles=True).count() == 1
    assert money(order) == {"RECEIVED": 6 * PRICE, "APPLIED": PRICE, "UNAPPLIED": 5 * PRICE}
    assert paid_periods(shop) == 1


def _settle_and_fulfil(attempt: PaymentAttempt) -> None:
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)


def _make_them_meet(patch: pytest.MonkeyPatch) -> None:
    """All callers have read before the first one writes, where no lock keeps them from it: at both steps."""
    for module, name in ((settlement, "verdict"), (renewal, "_renewed_before")):
        patch.setattr(module, name, _meeting(getattr(module, name)))


def _meeting(read: Callable[..., Any]) -> Callable[..., Any]:
    gate = threading.Barrier(CROWD)

    def meet(*facts: Any) -> Any:
        found = read(*facts)
        with contextlib.suppress(threading.BrokenBarrierError):
            gate.wait(timeout=1.5)
        return found

    return meet


@contextlib.contextmanager
def _unguarded(*tables: str) -> Iterator[None]:
    """Without any unique constraint or index on the tables but their primary keys; restored at the end."""
    constraints, indexes = _unique_constraints(tables), _unique_indexes(tables)
    with connection.cursor() as cursor:
        for table, name, _definition in constraints:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}" CASCADE')
        for name, _definition in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
    assert len(constraints) + len(indexes) >= len(tables)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for table, name, definition in constraints:
                cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
            for _name, definition in indexes:
                cursor.execute(definition)


def _unique_constraints(tables: tuple[str, ...]) -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype = 'u' AND conrelid::regclass::text = ANY(%s)",
            [list(tables)],
        )
        return cursor.fetchall()


def _unique_indexes(tables: tuple[str, ...]) -> list[tuple[str, str]]:
    """Partial unique indexes: those that no constraint stands for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indisunique AND NOT indisprimary AND indrelid::regclass::text = ANY(%s) "
            "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
            [list(tables)],
        )
        return cursor.fetchall()
