"""The main job on the real product: tried, running, expired and locked, paid by QR, and back (A2, A16–A22, Q3; R1–R5).

Gunicorn, a Celery worker, beat and the bridge are processes of their own, on PostgreSQL, Redis and Mosquitto. The
device is an independent MQTT client, the customer a phone in Chromium. The test clock moves the product's time.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from billing.models import Order, OrderStatus
from devices.models import Command, Period
from tests.journeys.world import World
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def pay_on_the_phone(page: Page, world: World) -> None:
    """What a customer does after scanning the sticker."""
    page.goto(world.link)
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url("**/sandbox/pay/**")
    page.get_by_role("button", name="Pay", exact=False).first.click()
    page.wait_for_url("**/r/*/orders/*")


def test_a_service_is_tried_expires_locks_is_paid_on_a_phone_and_comes_back(
    world: Callable[..., World], product_on_test_database: Product, phone_page: Page
) -> None:
    """The issue's main job, watched at each station on the public page, the wire and the records.

    All processes start by production's command lines alone.
    """
    product_on_test_database.is_cold = True
    amp = world()
    phone_page.goto(amp.link)
    expect(phone_page.locator(".badge")).to_have_text("Not started yet")
    amp.device.come_online()
    amp.until(lambda: amp.service.due_at, "presence reaches the service")
    amp.advance(minutes=6)
    amp.until(lambda: amp.service.state == "TRIAL", "the trial starts while the device stays online")
    amp.advance(minutes=5)
    amp.until(lambda: amp.service.state == "EXPIRED", "the trial ends")
    amp.until(lambda: amp.device.is_locked, "the lock reaches the device")
    amp.until(lambda: amp.service.reported_lock == "LOCKED", "the device's report reaches us")
    phone_page.reload()
    expect(phone_page.locator(".badge")).to_have_text("Service stopped")
    expect(phone_page.get_by_text("Online now")).to_be_visible()  # A24
    pay_on_the_phone(phone_page, amp)
    expect(phone_page.get_by_text("Your service is renewed")).to_be_visible()
    amp.until(lambda: not amp.device.is_locked, "the unlock reaches the device")
    amp.until(lambda: amp.service.reported_lock == "UNLOCKED", "the device confirms")
    amp.until(lambda: {each.status for each in Command.objects.all()} == {"CONFIRMED"}, "lock and unlock confirmed")
    amp.until(lambda: Order.objects.get().status == OrderStatus.FULFILLED.value, "the order fulfilled")
    assert amp.device.generations == [1, 2]
    [period], [order] = Period.objects.all(), Order.objects.all()
    assert (amp.service.state, amp.service.ends_at, order.total) == ("ACTIVE", period.ends_at, 19_900)
    phone_page.goto(amp.link)
    expect(phone_page.locator(".badge")).to_have_text("Running")
    amp.advance(days=360)
    phone_page.reload()
    expect(phone_page.locator(".badge")).to_contain_text("days left")
    amp.advance_by_command("10d")
    amp.until(lambda: amp.device.is_locked, "a year later it locks again")
    amp.audit()


def test_r2_r5_killed_processes_and_an_emptied_redis_lose_and_double_nothing(
    world: Callable[..., World], phone_page: Page
) -> None:
    """kill -9 of the worker and the bridge, and FLUSHALL, each in the middle of the job."""
    amp = world()
    [worker] = [each for each in amp.amp.processes if "worker" in each.command()]
    [bridge] = [each for each in amp.amp.processes if "bridge" in each.command()]
    bridge.kill()
    amp.device.come_online()  # nobody listens: the broker keeps the message for the bridge's session
    bridge.start()
    amp.until(lambda: amp.service.due_at, "the bridge catches up")
    worker.kill()
    amp.advance(minutes=11)
    _flush(amp)
    worker.start()
    amp.until(lambda: amp.service.reported_lock == "LOCKED", "the lock goes out without a wake-up", within=120)
    worker.kill()
    phone_page.goto(amp.link)
    phone_page.get_by_role("button", name="Pay").click()
    phone_page.wait_for_url("**/sandbox/pay/**")
    phone_page.get_by_role("button", name="Pay", exact=False).first.click()
    phone_page.wait_for_url("**/r/*/orders/*")
    amp.until(lambda: Order.objects.get().status == OrderStatus.PAID.value, "the money is in, nobody fulfils")
    _flush(amp)
    bridge.kill()
    bridge.start()
    worker.start()
    amp.until(lambda: amp.service.reported_lock == "UNLOCKED", "paid, unlocked, confirmed", within=120)
    assert amp.device.generations == [1, 2]
    assert Period.objects.count() == 1
    amp.audit()


def test_a20_a_device_that_was_away_when_it_expired_is_locked_when_it_is_back_within_the_cache_time(
    world: Callable[..., World],
) -> None:
    amp = world(cache_seconds=3 * 86_400)
    amp.device.come_online()
    amp.until(lambda: amp.service.due_at, "presence")
    amp.advance(minutes=9)
    amp.until(lambda: amp.service.state == "TRIAL", "trial")
    amp.device.go_offline()
    amp.until(lambda: amp.service.due_at is None, "offline, nothing is due")
    amp.device.come_online()
    amp.until(lambda: amp.service.due_at, "online again")
    amp.device.go_offline()
    amp.until(lambda: not amp.is_online(), "offline before time goes on")
    amp.advance(days=1)
    amp.device.come_online()
    amp.until(lambda: amp.service.due_at, "its last minute runs")
    amp.advance(minutes=2)
    amp.until(lambda: amp.device.is_locked, "locked")
    amp.audit()


def test_the_broker_keeps_a_device_to_its_own_topics_and_junk_changes_nothing(
    world: Callable[..., World], mosquitto: Mosquitto
) -> None:
    """F68, F69: with mosquitto_pub as the attacker, and a device that talks nonsense."""
    amp = world()
    amp.device.come_online()
    amp.until(lambda: amp.service.due_at, "presence")
    for body in (b"", b"{", b"\xff\xfe", b"[" * 5000, b"null", b'{"value": "online"}', b"x" * 70_000):
        amp.device.say("up/attr", body)
        amp.device.say("status", body)
    forged = [
        *["mosquitto_pub", "-h", "127.0.0.1", "-p", str(mosquitto.port), "-q", "1", "-i", amp.device.name + "x"],
        *["-u", amp.device.name, "-P", "wrong", "-t", f"amp/{amp.device.name}/status", "-m", '{"value":0}'],
    ]
    assert subprocess.run(forged, check=False, capture_output=True, timeout=20).returncode != 0
    amp.advance(minutes=11)
    amp.until(lambda: amp.device.is_locked, "the device is still served")
    dropped = amp.amp.sql("SELECT dropped, last_dropped FROM devices_bridge")
    assert dropped[0][0] > 0
    assert dropped[0][1]
    amp.audit()


def _flush(world: World) -> None:
    import redis

    redis.Redis.from_url(world.amp.environment["REDIS_URL"]).flushall()
