"""What a refund takes from a device whose period is not its own any more: nothing (A6, A26, R2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings

from billing.models import Effect, Refund, RefundLine
from billing.refunds import RefundStatus
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_quotes import quote_refund
from billing.services.refunds import approve_refund
from billing.services.settlement import settle
from devices.models import DeviceService
from devices.services.transfer import transfer_service
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import ANN, BOB, HALFWAY, ends, paid_order, refund_of, work
from tests.services.shop import NOW, Loopback, Shop, open_shop, paid

__all__ = ["books_in_order", "wire"]
END = NOW.replace(year=2027)
DAY = timedelta(days=1)


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=3)


def fresh(refund: Refund) -> Refund:
    return Refund.objects.get(pk=refund.pk)


def test_time_of_a_new_life_is_not_taken_by_a_refund_of_the_life_before_A6(shop: Shop, wire: Loopback) -> None:
    """Approval took longer than the period; the device was returned, began anew and was paid for again."""
    order = paid_order(shop)
    with override_settings(REFUND_THRESHOLD=0):
        refund = refund_of(order, effect=Effect.STOP)
    later = END + timedelta(days=10)
    DeviceService.objects.filter(device_id__in=shop.ids).update(
        state="ACTIVE", life=2, anchor=later, anchor_months=12, ends_at=later.replace(year=2028), state_since=END
    )
    approve_refund(refund=refund, by=BOB, now=later)
    work(wire, later)
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert set(RefundLine.objects.values_list("taken_seconds", flat=True)) == {0}
    assert set(ends(shop)) == {later.replace(year=2028)}


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_refund_of_time_that_moved_away_takes_none_of_what_was_paid_since_A26(
    shop: Shop, wire: Loopback, asked_before: bool
) -> None:
    order = paid_order(shop, device_ids=shop.ids[:1])
    DeviceService.objects.filter(device_id=shop.ids[1]).update(state="PENDING")
    with override_settings(REFUND_THRESHOLD=0):
        refund = refund_of(order, effect=Effect.STOP, now=NOW) if asked_before else None
        transfer_service(source_id=shop.ids[0], target_id=shop.ids[1], reason="broken", actor=ANN, now=NOW + DAY)
        again = shop.attempt(shop.order(device_ids=shop.ids[:1], now=NOW + 2 * DAY), now=NOW + 2 * DAY)
        settle(attempt_id=again.pk, facts=paid(again, paid_at=NOW + 2 * DAY), now=NOW + 2 * DAY)
        fulfil_paid_orders(now=NOW + 2 * DAY)
        before = ends(shop)
        assert quote_refund(order=order, now=HALFWAY).suggested == 0
        refund = refund or refund_of(order, effect=Effect.STOP)
        approve_refund(refund=refund, by=BOB, now=HALFWAY)
    work(wire)
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert ends(shop) == before
