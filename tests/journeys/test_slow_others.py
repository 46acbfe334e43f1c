"""Whoever takes their time, a device that was paid for is unlocked at once (F88): each queue has its own workers."""

from __future__ import annotations

import threading

import pytest

from alerts.models import WebhookDelivery
from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.queue_settings import DEFAULT, URGENT
from billing.models import OrderChannel
from billing.services.attempts import start_attempt
from billing.services.ordering import open_order
from billing.services.settlement import settle
from tests.journeys.world import World
from tests.services.receivers import hangs, happen, hook, receiver
from tests.services.shop import paid
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def test_f88_a_receiver_that_hangs_keeps_no_payment_waiting(
    product_on_test_database: Product, mosquitto: Mosquitto
) -> None:
    """The only process for everything else waits for the receiver from before the payment until after the unlock."""
    amp, let_go = product_on_test_database, threading.Event()
    with system_scope(), receiver(hangs(let_go)) as partner:
        world = World(amp, mosquitto)
        for queue in (DEFAULT, URGENT):
            amp.worker("--concurrency=1", f"--queues={queue}")
        amp.beat()
        amp.bridge()
        world.expire()
        world.until(lambda: world.device.is_locked, "the lock reaches the device")
        maker = world.product.enterprise
        hook(maker, partner.url, now=clock.now())
        happen(maker, now=clock.now())
        world.until(lambda: partner.got, "the receiver is called")
        pay(world)
        world.until(lambda: not world.device.is_locked, "the unlock reaches the device")
        called = WebhookDelivery.objects.filter(attempts__gt=0).values_list("attempts", "duration_ms")
        assert set(called) == {(1, None)}, "the receiver was given up before the unlock"
        let_go.set()
        world.device.go_offline()


def pay(world: World) -> None:
    """Somebody has paid at the gateway, and it tells us."""
    now, wall = clock.now(), clock.wall()
    ids = [world.registered.device.pk]
    order = open_order(
        device_ids=ids, plan=world.plan, channel=OrderChannel.PUBLIC, created_by="qr", once_key=None, now=now
    )
    attempt = start_attempt(order=order, now=now, wall=wall)
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=wall), now=now)
