"""Staff renew a device: the admin shows what will change, a QR code, and follows the payment (Q3, Q5, Q6, E1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from amp.foundation.models import Event, Role
from billing.models import Order, OrderStatus
from devices.models import Period
from tests import factories
from tests.journeys.world import World

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def sign_in(page: Page, world: World, role: Role) -> str:
    """Sign in to the admin as a new member of the maker; the address."""
    member = factories.make_member(world.product.enterprise, role)
    page.goto(f"{world.amp.url}/admin/login/")
    page.locator("input[name=username]").fill(member.email)
    page.locator("input[name=password]").fill(factories.PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    return member.email


def test_q3_q6_the_qr_page_follows_the_customers_payment_by_itself(
    world: Callable[..., World], page: Page, phone_page: Page
) -> None:
    """Staff never touch the page again after it shows the code; scanning alone renews nothing (Q3)."""
    amp = world()
    amp.expire()
    amp.until(lambda: amp.service.reported_lock == "LOCKED", "locked")
    operator = sign_in(page, amp, Role.OPERATOR)
    page.goto(f"{amp.amp.url}/admin/devices/device/{amp.registered.device.pk}/change/")
    expect(page.get_by_text("Locked because")).to_be_visible()
    page.get_by_role("link", name="Renew", exact=True).click()
    expect(page.get_by_text("The device is unlocked.")).to_be_visible()
    page.get_by_role("button", name="Make the order").click()
    expect(page.locator(".amp-qr svg")).to_be_visible()
    code = page.get_by_role("link", name="Open the TEST payment page").get_attribute("href")
    assert code
    phone_page.goto(code)
    assert Order.objects.get().status == OrderStatus.PENDING.value
    phone_page.locator("button.pay").click()
    expect(page.get_by_text("Paid and renewed")).to_be_visible()
    amp.until(lambda: amp.service.reported_lock == "UNLOCKED", "unlocked")
    assert Event.objects.filter(kind="order.created", actor=operator).count() == 1
    assert Period.objects.count() == 1
    amp.audit()


def test_q5_a_free_plan_is_confirmed_by_staff_who_may_and_never_shown_to_the_customer(
    world: Callable[..., World], page: Page, phone_page: Page
) -> None:
    amp = world()
    amp.expire()
    factories.make_plan(amp.product, months=3, amount=0, name="Goodwill", now=amp.registered.device.created_at)
    phone_page.goto(amp.link)
    expect(phone_page.get_by_text("12 months")).to_be_visible()
    expect(phone_page.get_by_text("3 months")).to_have_count(0)
    finance = sign_in(page, amp, Role.FINANCE)
    page.goto(f"{amp.amp.url}/admin/billing/order/renew/?device={amp.registered.device.pk}")
    page.get_by_text("Goodwill").click()
    page.get_by_role("button", name="Make the order").click()
    expect(page.locator(".amp-qr")).to_have_count(0)
    page.get_by_role("button", name="Confirm the renewal").click()
    expect(page.get_by_text("Paid and renewed").or_(page.get_by_text("Fulfilled")).first).to_be_visible()
    amp.until(lambda: not amp.device.is_locked and amp.service.state == "ACTIVE", "running and unlocked")
    assert Event.objects.filter(kind="order.paid", actor=finance).exists()
    amp.audit()
