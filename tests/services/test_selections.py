"""Devices chosen for a renewal are kept as rows, collapsed, scoped, ordered once at a time, and thrown away (Q1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from amp.foundation.models import Role
from amp.foundation.scoping import enterprise_scope
from amp.foundation.services.enterprises import create_enterprise
from billing.models import Order, RenewalSelection, SelectedDevice
from billing.orders import OrderStatus
from billing.selection_csv import NamedDevice
from billing.services.naming import find_devices
from billing.services.ordering import DevicesNotEligible, OrderRefused, cancel_order
from billing.services.quoting import quote
from billing.services.selecting import (
    KEPT,
    SelectionRefused,
    device_ids_of,
    forget_selections,
    open_orders,
    order_selection,
    select_devices,
    select_from_file,
)
from devices.models import Device
from devices.services.registration import DeviceRow, register_many, terminate_device
from devices.sheets import SheetRefused
from tests.factories import make_member
from tests.services.shop import ACTOR, NOW, WALL, Shop, add_devices, open_shop, shop_of_three, system_wide

__all__ = ["shop_of_three", "system_wide"]


def chosen(shop: Shop, **changes: Any) -> RenewalSelection:
    """All devices of the shop, ticked."""
    return select_devices(**{"device_ids": shop.ids, "owner": shop.user, "now": NOW, "wall": WALL} | changes)


def uploaded(shop: Shop, *lines: str, head: str = "key") -> RenewalSelection:
    """What a file of these lines selects."""
    content = "\n".join([head, *lines]).encode()
    return select_from_file(content=content, file_name="keys.csv", owner=shop.user, now=NOW, wall=WALL)


def problems(selection: RenewalSelection) -> list[tuple[int, str]]:
    """Lines that name no device, and why."""
    rows = SelectedDevice.objects.filter(selection=selection, device__isnull=True).order_by("line")
    return [(line, problem[0]) for line, problem in rows.values_list("line", "problem") if problem]


def test_devices_that_are_named_again_count_once_and_are_counted_Q1(shop: Shop) -> None:
    first, *_others = shop.ids
    selection = chosen(shop, device_ids=[*shop.ids, first, first])
    assert (selection.devices, selection.repeated) == (3, 2)
    assert device_ids_of(selection) == shop.ids
    from_file = uploaded(shop, "d0", "d1", "d0")
    assert (from_file.devices, from_file.repeated, from_file.unknown) == (2, 1, 0)


def test_lines_that_name_no_device_are_kept_with_their_numbers_Q1(shop: Shop) -> None:
    selection = uploaded(shop, "d0", "nobody", "a b", "", "d2")
    assert device_ids_of(selection) == [shop.ids[0], shop.ids[2]]
    assert problems(selection) == [(3, "no_such_device"), (4, "bad_key")]
    assert (selection.devices, selection.unknown) == (2, 2)


def test_a_file_that_names_no_device_is_refused_with_its_lines(shop: Shop) -> None:
    with pytest.raises(SheetRefused) as refused:
        uploaded(shop, "nobody", "d9")
    assert [(each.line, each.code) for each in refused.value.problems] == [(2, "no_such_device"), (3, "no_such_device")]
    assert not RenewalSelection.objects.exists()


def test_another_tenants_key_is_answered_as_one_that_nobody_has_R6(shop: Shop) -> None:
    other = open_shop(name="Other")
    Device.objects.filter(pk=other.ids[0]).update(key="theirs")
    with enterprise_scope([shop.enterprise.pk]):
        selection = uploaded(shop, "d0", "theirs", "nobody")
        assert problems(selection) == [(3, "no_such_device"), (4, "no_such_device")]
        assert device_ids_of(selection) == [shop.ids[0]]
    # Negative control: without the scope the key is found.
    [found] = find_devices([NamedDevice(2, "theirs")])
    assert found.device_id == other.ids[0]


def test_a_key_of_several_products_needs_the_product_and_a_freed_key_means_the_live_device_F70(shop: Shop) -> None:
    other = open_shop(devices=1, name="Other")
    with_product = [f"d0,{shop.product.key}", f"d0,{other.product.key}", "d0,", "d0,p0"]
    terminate_device(device=Device.objects.get(pk=shop.ids[1]), actor=ACTOR, now=NOW)
    [again] = register_many(
        product=shop.product, enterprise=shop.enterprise, rows=[DeviceRow("d1", "", "", "")], actor=ACTOR, now=NOW
    )
    names = [NamedDevice(number, *line.split(",")) for number, line in enumerate([*with_product, "d1,"])]
    assert [(found.device_id, found.problem and found.problem.code) for found in find_devices(names)] == [
        (shop.ids[0], None),
        (other.ids[0], None),
        (None, "several_devices"),
        (None, "no_such_device_of_product"),
        (again.device_id, None),
    ]


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_selection_has_1_to_10_000_devices_Q1(shop: Shop, count: int) -> None:
    with pytest.raises(SelectionRefused):
        chosen(shop, device_ids=range(1, count + 1))
    with pytest.raises(IntegrityError, match="selection_size"), transaction.atomic():  # and the database says so too
        RenewalSelection.objects.create(
            enterprise=shop.enterprise, owner=shop.user, devices=count, created_at=NOW, clear_at=WALL
        )


def test_one_foreign_device_refuses_all_of_them_F78(shop: Shop) -> None:
    other = open_shop(name="Other")
    with enterprise_scope([shop.enterprise.pk]), pytest.raises(SelectionRefused, match="not there any more"):
        chosen(shop, device_ids=[*shop.ids, other.ids[0]])


def test_devices_of_an_enterprise_where_the_role_may_not_renew_are_refused_by_its_name(shop: Shop) -> None:
    branch = create_enterprise(
        name="North", parent=shop.enterprise, time_zone="Asia/Shanghai", currency="CNY", actor=ACTOR, now=NOW
    )
    north = add_devices(shop, 1, prefix="n", enterprise=branch)
    operator = make_member(branch, Role.OPERATOR)
    assert chosen(shop, device_ids=north, owner=operator).enterprise_id == branch.pk
    with pytest.raises(SelectionRefused, match="Maker"):
        chosen(shop, device_ids=[*shop.ids, *north], owner=operator)


def test_devices_of_unrelated_enterprises_are_not_ordered_together(shop: Shop) -> None:
    other = open_shop(name="Other")
    platform = make_member(shop.enterprise, Role.ENTERPRISE_ADMINISTRATOR)
    other_member = {"user": platform, "enterprise": other.enterprise, "role": Role.ENTERPRISE_ADMINISTRATOR.value}
    type(platform.memberships.get()).objects.create(**other_member)
    with pytest.raises(OrderRefused, match="unrelated"):
        chosen(shop, device_ids=[*shop.ids, *other.ids], owner=platform)


def ordered(selection: RenewalSelection, shop: Shop, **changes: Any) -> tuple[Order, bool]:
    """The order of the selection with the shop's plan."""
    asked = {"selection": selection, "plan": shop.plan, "created_by": ACTOR, "expected": 3, "now": NOW}
    return order_selection(**asked | changes)


def test_a_selection_makes_one_order_until_that_one_is_over_F33(shop: Shop) -> None:
    selection = chosen(shop)
    order, is_new = ordered(selection, shop)
    assert (order.line_count, is_new) == (3, True)
    free = shop.plan_like(amount=0)
    assert ordered(selection, shop) == (order, False)
    assert ordered(selection, shop, plan=free) == (order, False)
    cancel_order(order=order, actor=ACTOR, now=NOW)
    second, is_new = ordered(selection, shop, plan=free)
    assert is_new
    later = second.expires_at + timedelta(seconds=1)
    assert ordered(selection, shop, now=later)[1]
    assert Order.objects.count() == 3


def test_a_paid_order_of_a_selection_is_shown_and_not_made_again(shop: Shop) -> None:
    selection = chosen(shop)
    order, _is_new = ordered(selection, shop)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.FULFILLED.value, paid_at=NOW)
    assert ordered(selection, shop, now=NOW + timedelta(days=1)) == (Order.objects.get(pk=order.pk), False)


def test_what_changed_since_it_was_shown_is_shown_again_before_it_is_ordered_Q5(shop: Shop) -> None:
    selection = chosen(shop)
    terminate_device(device=Device.objects.get(pk=shop.ids[1]), actor=ACTOR, now=NOW)
    with pytest.raises(DevicesNotEligible) as refused:
        ordered(selection, shop, expected=3)
    assert len(refused.value.quote.accepted) == 2
    order, _is_new = ordered(selection, shop, expected=2)
    assert (order.line_count, order.left_out) == (2, {"terminated": 1})


def test_orders_of_others_that_hold_the_same_devices_are_shown_F32(shop: Shop) -> None:
    selection = chosen(shop)
    mine, _is_new = ordered(selection, shop)
    theirs = shop.order(device_ids=shop.ids[:2], created_by="colleague@example.com")
    shop.order(device_ids=shop.ids[:1], now=NOW - timedelta(hours=1))
    cancel_order(order=shop.order(device_ids=shop.ids[:1]), actor=ACTOR, now=NOW)
    selection.refresh_from_db()
    assert selection.order == mine
    assert [(each.number, each.created_by, each.devices) for each in open_orders(selection=selection, now=NOW)] == [
        (theirs.number, "colleague@example.com", 2)
    ]


def test_a_selection_is_thrown_away_after_a_day_and_its_order_stays(shop: Shop) -> None:
    order, _is_new = ordered(chosen(shop), shop)
    young = chosen(shop, wall=WALL + timedelta(minutes=1))
    assert forget_selections(wall=WALL + KEPT - timedelta(seconds=1)) == 0
    assert forget_selections(wall=WALL + KEPT) == 1
    assert list(RenewalSelection.objects.all()) == [young]
    assert SelectedDevice.objects.count() == 3
    assert Order.objects.get() == order


@pytest.mark.parametrize("devices", [10, 1_000])
def test_quoting_takes_as_many_queries_for_1_000_devices_of_many_places_as_for_10(
    shop: Shop, devices: int, django_assert_num_queries: Any
) -> None:
    """Device, service, terms (2), product, enterprise, rules, merchants, levels, plans, the plan again."""
    branches = [
        create_enterprise(
            name=f"Branch {number}", parent=shop.enterprise, time_zone="UTC", currency="CNY", actor=ACTOR, now=NOW
        )
        for number in range(devices // 10)
    ]
    ids = [
        pk
        for number, branch in enumerate(branches)
        for pk in add_devices(shop, 10, prefix=f"b{number}-", enterprise=branch)
    ]
    with django_assert_num_queries(11):
        offered = quote(device_ids=ids, plan=shop.plan, now=NOW)
    assert len(offered.accepted) == devices
