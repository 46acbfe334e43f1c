"""A worker dies by kill -9 in a batch: what it had done stays done, the rest is done once (R2, F01, F02)."""

from __future__ import annotations

import pytest
from django.db import transaction

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.foundation.services import testclock
from billing.invariants import violations
from billing.models import LineStatus, Order, OrderChannel, OrderLine, OrderStatus
from billing.orders import GatewayFacts, GatewayState
from billing.services.attempts import start_attempt
from billing.services.fulfilment import LEASE, SLICE
from billing.services.ordering import open_order
from billing.services.settlement import settle
from devices.models import DeviceService, Period
from tests import factories
from tests.journeys.fleets import expired_devices
from tests.stack.processes import Product
from tests.stack.waiting import eventually, waits_for_a_lock

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
LINES = 2 * SLICE + 10


def test_f01_f02_a_batch_goes_on_where_a_killed_worker_left_it(product_on_test_database: Product) -> None:
    """The worker is held in its second slice by a lock on one of its devices, killed there, and followed by another."""
    amp = product_on_test_database
    with system_scope():
        order, ids = paid_batch()
        with transaction.atomic():
            DeviceService.objects.select_for_update().get(pk=sorted(ids)[SLICE])
            amp.beat()
            worker = amp.worker()
            eventually(waits_for_a_lock, what="the worker in its second slice")
            worker.kill()
        eventually(lambda: not waits_for_a_lock(), what="the end of its transaction")
        assert (applied(order), Period.objects.count()) == (SLICE, SLICE)
        assert violations() == []
        testclock.advance(LEASE, wall=clock.wall())  # nobody waits for the dead one's lease
        amp.worker()
        eventually(lambda: Order.objects.get().status == OrderStatus.FULFILLED.value, what="the rest", within=60)
        assert applied(order) == LINES
        assert set(Period.objects.values_list("device_id", flat=True)) == set(ids)
        assert Period.objects.count() == LINES
        assert violations() == []


def paid_batch() -> tuple[Order, list[int]]:
    """An order of three slices, paid for."""
    now, wall = clock.now(), clock.wall()
    product = factories.make_product(factories.make_enterprise("Maker", now=now), now=now)
    plan = factories.make_plan(product, now=now)
    ids = expired_devices(product, LINES, now=now)
    order = open_order(device_ids=ids, plan=plan, channel=OrderChannel.STAFF, created_by="test", once_key=None, now=now)
    attempt = start_attempt(order=order, now=now, wall=wall)
    merchant = attempt.account.merchant.merchant_id
    facts = GatewayFacts(attempt.number, GatewayState.PAID, merchant, attempt.amount, attempt.currency, "T1", now)
    settle(attempt_id=attempt.pk, facts=facts, now=now)
    return order, ids


def applied(order: Order) -> int:
    return OrderLine.objects.filter(order=order, status=LineStatus.APPLIED.value).count()
