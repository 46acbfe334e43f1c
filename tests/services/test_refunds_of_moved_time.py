"""What a refund takes from a device whose period is not its own any more: nothing (A6, A26, R2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client, override_settings

from amp.foundation.models import Role
from amp.foundation.services.enterprises import create_enterprise
from billing.models import Effect, Refund, RefundLine
from billing.refunds import RefundStatus
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_quotes import quote_refund
from billing.services.refunds import approve_refund
from billing.services.settlement import settle
from devices.models import Device, DeviceService
from devices.services.shortening import Spared
from devices.services.transfer import transfer_service
from tests.factories import make_member
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


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_refund_takes_no_time_from_a_device_that_is_another_enterprises_by_now_F36(
    shop: Shop, wire: Loopback, asked_before: bool
) -> None:
    """The device changed hands between payment and refund: its new owner's service is not the old owner's to give."""
    order = paid_order(shop, device_ids=shop.ids[:2])
    with override_settings(REFUND_THRESHOLD=0):
        refund = refund_of(order, effect=Effect.STOP) if asked_before else None
        hand_over(shop, shop.ids[0])
        spared = {each.line.device_id: each.spared for each in quote_refund(order=order, now=HALFWAY).lines}
        assert spared == ({} if asked_before else {shop.ids[0]: Spared.OTHER_ENTERPRISE, shop.ids[1]: None})
        refund = refund or refund_of(order, effect=Effect.STOP)
        approve_refund(refund=refund, by=BOB, now=HALFWAY)
    work(wire)
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert ends(shop)[:2] == [END, HALFWAY]
    line = RefundLine.objects.get(refund=refund, line__device_id=shop.ids[0])
    assert (line.taken_seconds, line.ends_at) == (0, None)


def test_the_page_says_whose_time_stays_F36_A26(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop, device_ids=shop.ids[:2])
    hand_over(shop, shop.ids[0])
    DeviceService.objects.filter(device_id=shop.ids[2]).update(state="PENDING")
    transfer_service(source_id=shop.ids[1], target_id=shop.ids[2], reason="broken", actor=ANN, now=NOW + DAY)
    client = Client()
    client.force_login(make_member(shop.enterprise, Role.FINANCE, email="fin@example.com"))
    told = client.get(f"/admin/billing/order/{order.pk}/refund/").content.decode()
    assert "belongs to another enterprise since" in told
    assert "its time was moved to another device" in told


def hand_over(shop: Shop, device: int) -> None:
    """To another enterprise below the seller's."""
    owner = create_enterprise(
        name="New owner", parent=shop.enterprise, time_zone="Asia/Shanghai", currency="CNY", actor=ANN, now=NOW
    )
    Device.objects.filter(pk=device).update(enterprise=owner)
    DeviceService.objects.filter(pk=device).update(enterprise=owner)
