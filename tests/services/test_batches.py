"""A batch with bad devices in it: named by reason before payment, left visible after it; in few statements (Q1, Q4)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.calendar import add_months
from amp.foundation.scoping import enterprise_scope
from amp.foundation.services.enterprises import create_enterprise
from billing.models import LineStatus, MoneyEntry, Order, OrderLine, PaymentException
from billing.orders import OrderStatus
from billing.services import fulfilment
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import DevicesNotEligible
from billing.services.quoting import quote
from billing.services.settlement import settle
from catalog.models import Plan, Product, ServiceLevel, ServiceRule
from catalog.services.products import create_product
from devices.lifecycle import State
from devices.models import Command, Device, DeviceService, Period
from devices.services.renewal import RenewalOutcome, RenewalRequest
from tests.services.gateway import books_in_order
from tests.services.shop import ACTOR, MINUTE, NOW, Shop, add_devices, money, open_shop, paid

__all__ = ["books_in_order"]

GOOD, EACH = 500, 60
LATER = NOW + 5 * MINUTE
PRICE = 19_900


def made(shop: Shop, prefix: str, product: Product | None = None, **service: Any) -> list[int]:
    """Devices of the shop in that condition."""
    seller = Shop(shop.enterprise, shop.user, shop.merchant, product or shop.product, shop.plan)
    ids = add_devices(seller, EACH, prefix=prefix)
    DeviceService.objects.filter(pk__in=ids).update(**service or {"state": State.EXPIRED.value})
    return ids


def another_product(shop: Shop, name: str, *, paid_mode: bool) -> Product:
    """A product of the shop for which its plan is not sold."""
    product = create_product(enterprise=shop.enterprise, name=name, actor=ACTOR, now=NOW)
    ServiceRule.objects.filter(product=product).update(paid_mode=paid_mode, paid_mode_since=NOW if paid_mode else None)
    return product


def bad_devices(shop: Shop) -> dict[str, list[int]]:
    """Sixty devices for each reason that there is."""
    pro = ServiceLevel.objects.create(enterprise=shop.enterprise, name="Pro", rank=77)
    pro.products.add(shop.product)
    active = {"state": State.ACTIVE.value, "anchor": NOW}
    far = {"anchor_months": 355, "ends_at": add_months(NOW, 355, "UTC"), "level": shop.plan.level}
    near = {"anchor_months": 1, "ends_at": NOW + timedelta(days=31), "level": pro}
    unknown = [10**9 + number for number in range(EACH)]
    return {
        "terminated": made(shop, "terminated-", state=State.TERMINATED.value),
        "paid_mode_off": made(shop, "off-", another_product(shop, "Lamp", paid_mode=False)),
        "trial_not_over": made(shop, "trial-", state=State.TRIAL.value, trial_end_seconds=3_600),
        "other_level": made(shop, "pro-", **active, **near),
        "too_far_ahead": made(shop, "far-", **active, **far),
        "not_sold_for_device": made(shop, "pump-", another_product(shop, "Pump", paid_mode=True)),
        "not_found": [*open_shop(devices=EACH, name="Other").ids, *unknown],
    }


def test_a_thousand_devices_of_which_half_are_bad_in_eight_ways_are_told_apart_before_payment_Q1_F35() -> None:
    shop = open_shop(devices=GOOD)
    bad = bad_devices(shop)
    everything = [*shop.ids, *(pk for ids in bad.values() for pk in ids)]
    asked = [*everything, *everything[:100], *everything[-50:]]
    with enterprise_scope([shop.enterprise.pk]):
        offered = quote(device_ids=asked, plan=shop.plan, now=NOW)
        assert offered.reasons == {reason: len(ids) for reason, ids in bad.items()}
        assert {line.device_id for line in offered.accepted} == set(shop.ids)
        assert (len(offered.lines), offered.total) == (len(everything), GOOD * PRICE)
        with pytest.raises(DevicesNotEligible) as refused:
            shop.order(device_ids=asked)
        assert {line.device_id for line in refused.value.refusals} == set(everything) - set(shop.ids)
        assert not Order.objects.exists()
        order = shop.order(device_ids=asked, continue_without_refused=True)
    assert (order.line_count, order.total) == (GOOD, GOOD * PRICE)
    assert order.left_out == offered.reasons
    assert sum(order.lines.values_list("amount", flat=True)) == order.total  # F39


def test_devices_that_turn_bad_while_the_code_is_open_are_left_unapplied_with_their_money_F36_F37() -> None:
    shop = open_shop(devices=100)
    order = shop.order()
    attempt = shop.attempt(order)
    terminated, moved = shop.ids[:10], shop.ids[10:30]
    DeviceService.objects.filter(pk__in=terminated).update(state=State.TERMINATED.value)
    elsewhere = open_shop(name="Elsewhere").enterprise
    for model in (Device, DeviceService):
        model.objects.filter(pk__in=moved).update(enterprise=elsewhere)
    Plan.objects.filter(pk=shop.plan.pk).update(amount=1, months=1)
    ServiceRule.objects.filter(product=shop.product).update(paid_mode=False)  # E4 is asked before, not after payment
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)
    results = Counter(OrderLine.objects.filter(order=order).values_list("status", "reason"))
    assert results == {
        (LineStatus.APPLIED.value, ""): 70,
        (LineStatus.UNAPPLIED.value, "terminated"): 10,
        (LineStatus.UNAPPLIED.value, "other_enterprise"): 20,
    }
    assert Order.objects.get().status == OrderStatus.PARTIALLY_FULFILLED.value
    assert money(order) == {"RECEIVED": 100 * PRICE, "APPLIED": 70 * PRICE, "UNAPPLIED": 30 * PRICE}
    assert PaymentException.objects.get().amount == 30 * PRICE
    assert set(Period.objects.values_list("months", flat=True)) == {12}
    assert not Period.objects.filter(device_id__in=[*terminated, *moved]).exists()
    assert not Command.objects.filter(device_id__in=moved).exists()


def test_without_the_look_at_the_owner_a_moved_device_would_be_renewed_F36(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the request carries whose device was paid for; without it, it is anybody's."""
    renew = fulfilment.renew_services

    def blind(requests: list[RenewalRequest], **options: Any) -> list[RenewalOutcome]:
        return renew([each._replace(enterprise_id=None) for each in requests], **options)

    monkeypatch.setattr(fulfilment, "renew_services", blind)
    shop = open_shop()
    attempt = shop.attempt()
    elsewhere = create_enterprise(name="Elsewhere", parent=None, time_zone="UTC", currency="CNY", actor=ACTOR, now=NOW)
    DeviceService.objects.update(enterprise=elsewhere)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)
    assert Period.objects.get().enterprise == elsewhere


@pytest.mark.parametrize("lines", [10, 1_000])
def test_a_slice_costs_25_statements_for_10_lines_and_for_1_000(lines: int) -> None:
    """Row D asks for at most 0.05 a line: claim, locks, rules, periods, ends, events, commands, lines, money."""
    shop = open_shop(devices=lines)
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    with CaptureQueriesContext(connection) as seen:
        assert fulfil_paid_orders(now=LATER, limit=1) == 1
    statements = [query["sql"] for query in seen if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 25, "\n".join(statement[:120] for statement in statements)
    assert Command.objects.filter(kind="UNLOCK").count() == Period.objects.count() == lines
    assert MoneyEntry.objects.filter(kind="APPLIED").count() == lines
    assert Order.objects.get().status == OrderStatus.FULFILLED.value
