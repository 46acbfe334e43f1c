"""Two clicks, two tabs and two staff at the same moment: one effect each (F32, F33, R2)."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from django.db.models import QuerySet

from billing.models import Order, RenewalSelection
from billing.services import selecting
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.selecting import order_selection, select_devices
from billing.services.settlement import settle
from devices.models import DeviceService, Period
from tests.services.gateway import books_in_order
from tests.services.shop import ACTOR, MINUTE, NOW, WALL, Shop, money, open_shop, paid
from tests.stack.waiting import at_once

__all__ = ["books_in_order"]

pytestmark = pytest.mark.django_db(transaction=True)
LATER = NOW + 5 * MINUTE
CLICKS = 6


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=4)


def selection_of(shop: Shop) -> RenewalSelection:
    return select_devices(device_ids=shop.ids, owner=shop.user, now=NOW, wall=WALL)


def click(selection: RenewalSelection, shop: Shop) -> Order:
    """One press of the button."""
    order, _is_new = order_selection(selection=selection, plan=shop.plan, created_by=ACTOR, expected=4, now=NOW)
    return order


def meet(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    """Nobody orders before all have looked whether there is an order, where no lock keeps them from looking."""
    gate, look = threading.Barrier(parties), selecting._standing

    def looked(*facts: Any) -> Any:
        found = look(*facts)
        if found is None:
            with contextlib.suppress(threading.BrokenBarrierError):
                gate.wait(timeout=0.5)
        return found

    monkeypatch.setattr(selecting, "_standing", looked)


def test_many_clicks_on_one_selection_make_one_order_F33(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = selection_of(shop)
    meet(monkeypatch, CLICKS)
    orders = at_once(*[lambda: click(selection, shop)] * CLICKS)
    assert {order.pk for order in orders} == {Order.objects.get().pk}


def test_without_the_lock_on_the_selection_many_clicks_make_several_orders(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    selection = selection_of(shop)
    meet(monkeypatch, CLICKS)
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
        at_once(*[lambda: click(selection, shop)] * CLICKS)
    assert Order.objects.count() > 1


def test_two_staff_who_pay_for_the_same_devices_at_once_extend_each_of_them_once_per_order_F32(shop: Shop) -> None:
    """Their devices lie in opposite order in the two selections, and both are fulfilled at the same time (F23)."""
    there = select_devices(device_ids=shop.ids[::-1], owner=shop.user, now=NOW, wall=WALL)
    attempts = [shop.attempt(click(selection, shop)) for selection in (selection_of(shop), there)]
    for attempt in attempts:
        settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    worked_on = at_once(*[lambda: fulfil_paid_orders(now=LATER, limit=1)] * 2)
    assert worked_on == [1, 1]
    assert Period.objects.filter(device_id__in=shop.ids).count() == 8
    ends = set(DeviceService.objects.values_list("ends_at", flat=True))
    assert ends == {(NOW + MINUTE).replace(year=2028)}
    for attempt in attempts:
        assert money(attempt.order) == {"RECEIVED": 4 * 19_900, "APPLIED": 4 * 19_900}
