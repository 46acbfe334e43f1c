"""Orders are opened all or nothing, with what was offered frozen into them (E3, E4, Q1–Q5, F32–F37)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation.access import NotAllowed
from amp.foundation.models import Membership, Role, User
from amp.foundation.scoping import enterprise_scope
from amp.foundation.services.enterprises import create_enterprise
from billing.models import LineStatus, Order, OrderChannel, OrderLine
from billing.orders import OrderStatus
from billing.services.attempts import start_attempt
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import DevicesNotEligible, OnceKeyReused, OrderRefused, cancel_order, confirm_free_order
from billing.services.quoting import quote, refusal_text
from catalog.models import Plan, PlanStatus, PlanType, ServiceLevel, ServiceRule
from devices.lifecycle import State
from devices.models import Device, DeviceService
from devices.services.registration import terminate_device
from tests.services.shop import (
    ACTOR,
    NOW,
    WALL,
    Shop,
    add_devices,
    kinds,
    open_shop,
    paid_periods,
    shop_of_three,
    system_wide,
)

__all__ = ["shop_of_three", "system_wide"]
PUBLIC = OrderChannel.PUBLIC


def test_an_order_freezes_what_was_offered_E3_F37(shop: Shop) -> None:
    order = shop.order()
    Plan.objects.filter(pk=shop.plan.pk).update(amount=1, name="Other", months=1)
    order.refresh_from_db()
    assert (order.plan_name, order.months, order.unit_amount, order.total) == ("Yearly", 12, 19_900, 59_700)
    assert (order.merchant_name, order.currency, order.line_count) == ("Maker Ltd", "CNY", 3)
    assert order.status == OrderStatus.PENDING.value
    assert order.expires_at - order.created_at == timedelta(minutes=30)
    assert sum(order.lines.values_list("amount", flat=True)) == order.total
    assert kinds(f"order:{order.pk}") == ["order.created"]


def test_a_device_that_is_ticked_twice_is_renewed_once_Q1(shop: Shop) -> None:
    first = shop.ids[0]
    order = shop.order(device_ids=[first, first, first])
    assert (order.line_count, order.total) == (1, 19_900)


def test_one_bad_device_refuses_the_order_and_names_it_and_nothing_is_made_F35(shop: Shop) -> None:
    terminate_device(device=Device.objects.get(pk=shop.ids[1]), actor=ACTOR, now=NOW)
    with pytest.raises(DevicesNotEligible) as refused:
        shop.order(device_ids=[*shop.ids, 999_999_999])
    assert [(line.device_id, line.refusal) for line in refused.value.refusals] == [
        (shop.ids[1], "terminated"),
        (999_999_999, "not_found"),
    ]
    assert refused.value.quote.total == 2 * 19_900
    assert not Order.objects.exists()
    order = shop.order(device_ids=[*shop.ids, 999_999_999], continue_without_refused=True)
    assert set(order.lines.values_list("device_id", flat=True)) == {shop.ids[0], shop.ids[2]}


def test_an_order_of_only_bad_devices_is_refused_even_when_told_to_continue(shop: Shop) -> None:
    with pytest.raises(DevicesNotEligible):
        shop.order(device_ids=[999_999_999], continue_without_refused=True)


@pytest.mark.parametrize("count", [0, 10_001])
def test_an_order_has_1_to_10_000_devices_Q1(shop: Shop, count: int) -> None:
    with pytest.raises(OrderRefused, match="1 to 10,000"):
        shop.order(device_ids=range(1, count + 1))


def test_a_device_outside_the_scope_is_answered_as_one_that_does_not_exist_R6(shop: Shop) -> None:
    other = open_shop(name="Other")
    with enterprise_scope([shop.enterprise.pk]):
        offered = quote(device_ids=[shop.ids[0], other.ids[0], 999_999_999], plan=shop.plan, now=NOW)
    assert [line.refusal for line in offered.lines] == [None, "not_found", "not_found"]
    assert offered.lines[1]._replace(device_id=0) == offered.lines[2]._replace(device_id=0)


def test_the_quote_shows_the_end_that_paying_now_would_give_Q5(shop: Shop) -> None:
    line = quote(device_ids=shop.ids[:1], plan=shop.plan, now=NOW).lines[0]
    assert line.ends_at == NOW.replace(year=2027)
    assert not OrderLine.objects.exists()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"status": PlanStatus.WITHDRAWN.value}, "plan_not_on_sale"),
        ({"status": PlanStatus.DRAFT.value}, "plan_not_on_sale"),
        ({"sale_from": NOW + timedelta(seconds=1)}, "plan_not_on_sale"),
        ({"sale_until": NOW}, "plan_not_on_sale"),
        ({"sale_until": NOW + timedelta(seconds=1)}, None),
    ],
)
def test_a_plan_sells_only_while_it_is_published_and_on_sale_E4(shop: Shop, change: Any, refusal: str | None) -> None:
    stale = shop.plan
    Plan.objects.filter(pk=stale.pk).update(**change)
    assert quote(device_ids=shop.ids[:1], plan=stale, now=NOW).lines[0].refusal == refusal


def test_a_plan_of_another_merchant_product_or_level_is_not_sold_for_the_device_E4(shop: Shop) -> None:
    other = open_shop(name="Other")
    level = ServiceLevel.objects.create(enterprise=shop.enterprise, name="Pro", rank=77)
    reselling = shop.plan_like(plan_type=PlanType.RESELLER.value, merchant=other.merchant)
    foreign = [other.plan, shop.plan_like(level=level), reselling]
    for plan in foreign:
        assert quote(device_ids=shop.ids[:1], plan=plan, now=NOW).lines[0].refusal == "not_sold_for_device"


def test_an_active_device_keeps_its_level_E4(shop: Shop) -> None:
    level = ServiceLevel.objects.create(enterprise=shop.enterprise, name="Pro", rank=77)
    level.products.add(shop.product)
    plan = shop.plan_like(level=level)
    DeviceService.objects.filter(pk=shop.ids[0]).update(
        state=State.ACTIVE.value,
        level=shop.plan.level,
        anchor=NOW,
        anchor_months=1,
        ends_at=NOW + timedelta(days=31),
    )
    lines = quote(device_ids=shop.ids[:2], plan=plan, now=NOW).lines
    assert [line.refusal for line in lines] == ["other_level", None]


def test_nothing_is_sold_while_paid_mode_is_off_E4(shop: Shop) -> None:
    ServiceRule.objects.filter(product=shop.product).update(paid_mode=False)
    assert quote(device_ids=shop.ids[:1], plan=shop.plan, now=NOW).lines[0].refusal == "paid_mode_off"


def test_every_refusal_has_a_sentence() -> None:
    from billing.orders import OrderRefusal
    from devices.lifecycle import RenewalRefusal

    codes = [each.value for each in (*OrderRefusal, *RenewalRefusal)]
    assert len({refusal_text(code) for code in codes}) == len(codes)


def test_an_order_over_branches_belongs_to_the_lowest_enterprise_that_holds_them_all(shop: Shop) -> None:
    branches = [
        create_enterprise(
            name=name, parent=shop.enterprise, time_zone="Asia/Shanghai", currency="CNY", actor=ACTOR, now=NOW
        )
        for name in ("North", "South")
    ]
    north, south = (add_devices(shop, 1, prefix=branch.name, enterprise=branch)[0] for branch in branches)
    assert shop.order(device_ids=[north]).enterprise_id == branches[0].pk
    both = shop.order(device_ids=[north, south])
    assert both.enterprise_id == shop.enterprise.pk
    assert set(both.lines.values_list("enterprise_id", flat=True)) == {branch.pk for branch in branches}


def test_a_second_click_finds_the_order_that_the_first_one_made_F33(shop: Shop) -> None:
    first = shop.order(once_key="form-1")
    assert shop.order(once_key="form-1", now=NOW + timedelta(minutes=1)) == first
    assert Order.objects.count() == 1
    assert shop.order(once_key="form-2") != first


def test_the_same_key_with_other_devices_or_another_plan_is_refused_R7(shop: Shop) -> None:
    shop.order(once_key="form-1")
    with pytest.raises(OnceKeyReused, match="Reload the page"):
        shop.order(once_key="form-1", device_ids=shop.ids[:1])
    with pytest.raises(OnceKeyReused):
        shop.order(once_key="form-1", plan=shop.plan_like(name="Monthly", months=1))


def test_the_same_key_of_two_people_never_meets_F34(shop: Shop) -> None:
    assert shop.order(once_key="1") != shop.order(once_key="1", created_by="other@example.com")


def test_the_renewal_page_shows_the_open_order_again_in_a_second_tab_F32(shop: Shop) -> None:
    one = shop.order(device_ids=shop.ids[:1], channel=PUBLIC)
    assert shop.order(device_ids=shop.ids[:1], channel=PUBLIC, now=NOW + timedelta(minutes=5)) == one
    assert shop.order(device_ids=shop.ids[1:2], channel=PUBLIC) != one
    assert shop.order(device_ids=shop.ids[:1], channel=PUBLIC, plan=shop.plan_like(name="Monthly", months=1)) != one
    assert shop.order(device_ids=shop.ids[:1]) != one
    almost_over = NOW + timedelta(minutes=29)
    assert shop.order(device_ids=shop.ids[:1], channel=PUBLIC, now=almost_over) != one


def test_the_renewal_page_never_accepts_a_free_plan_Q5(shop: Shop) -> None:
    free = shop.plan_like(name="Free", amount=0)
    with pytest.raises(OrderRefused, match="not sold here"):
        shop.order(device_ids=shop.ids[:1], plan=free, channel=PUBLIC)


def test_a_free_order_renews_by_a_persons_word_and_by_nothing_else_Q3_Q5(shop: Shop) -> None:
    order = shop.order(plan=shop.plan_like(name="Free", amount=0))
    with pytest.raises(OrderRefused, match="nothing to pay"):
        start_attempt(order=order, now=NOW, wall=WALL)
    operator = User.objects.create_user("operator@example.com", "a long password", created_at=NOW)
    Membership.objects.create(user=operator, enterprise=shop.enterprise, role=Role.OPERATOR.value)
    with pytest.raises(NotAllowed):
        confirm_free_order(order=order, user=operator, now=NOW)
    confirm_free_order(order=order, user=shop.user, now=NOW)
    confirm_free_order(order=order, user=shop.user, now=NOW)
    fulfil_paid_orders(now=NOW)
    order.refresh_from_db()
    assert order.status == OrderStatus.FULFILLED.value
    assert paid_periods(shop) == 3
    assert kinds(f"order:{order.pk}") == ["order.created", "order.paid", "order.fulfilled"]


def test_an_order_with_a_price_is_never_confirmed_by_hand(shop: Shop) -> None:
    order = shop.order()
    with pytest.raises(OrderRefused, match="without a price"):
        confirm_free_order(order=order, user=shop.user, now=NOW)


def test_only_an_unpaid_order_can_be_cancelled_Q2(shop: Shop) -> None:
    order = cancel_order(order=shop.order(), actor=ACTOR, now=NOW)
    assert (order.status, order.due_at, order.closed_at) == (OrderStatus.CANCELLED.value, None, NOW)
    free = shop.order(plan=shop.plan_like(name="Free", amount=0))
    confirm_free_order(order=free, user=shop.user, now=NOW)
    with pytest.raises(OrderRefused, match="waits for payment"):
        cancel_order(order=free, actor=ACTOR, now=NOW)


def test_lines_wait_for_the_money(shop: Shop) -> None:
    order = shop.order()
    assert set(order.lines.values_list("status", flat=True)) == {LineStatus.WAITING.value}
    assert fulfil_paid_orders(now=NOW) == 0
