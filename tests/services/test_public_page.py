"""What the renewal page of a device says in each of its states (A12, A13, A24, E4, F85)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.scoping import system_scope
from billing.models import Order
from catalog.models import Plan, PlanType, ServiceLevel
from devices.lifecycle import Lock, State
from devices.models import DeviceService
from devices.services.lifecycle import advance_due_services
from devices.services.renewal import quote_periods, quote_renewals
from tests.factories import HOUR, make_enterprise, make_product, make_rule_change
from tests.services.shop import NOW, Loopback
from tests.services.visiting import BEFORE, DAY, Visit, newest_order, words

pytestmark = pytest.mark.django_db
QUERIES = {"expired": 11, "trial": 12}
"""Of one look at the page, whatever is on sale."""


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


def test_nothing_of_the_owner_and_of_other_devices_is_shown_F85() -> None:
    maker = make_enterprise("Greenfield Robotics", now=BEFORE)
    owner = make_enterprise("Hidden Farm", parent=maker, merchant=False, now=BEFORE)
    product = make_product(maker, now=BEFORE, name="AutoSteer N2")
    visit = Visit(product, enterprise=owner, key="hidden-key-1", serial="SN-00914821", name="Hidden name").over()
    Visit(product, enterprise=owner, key="other-device", serial="SN-99999999")
    visit.plan()
    page = visit.browser.get(visit.path).content.decode()
    for secret in ("Hidden Farm", "Hidden name", "hidden-key-1", "SN-00914821", "0091", "other-device", "9999"):
        assert secret not in page
    for shown in ("Greenfield Robotics", "Greenfield Robotics Ltd", "AutoSteer N2", "4821"):
        assert shown in page


def test_a_childs_device_buys_its_makers_plan_and_the_makers_merchant_is_paid_E1_E4() -> None:
    maker = make_enterprise("Maker", now=BEFORE)
    owner = make_enterprise("Owner", parent=maker, merchant=False, now=BEFORE)
    visit = Visit(make_product(maker, now=BEFORE), enterprise=owner).over()
    plan = visit.plan()
    assert visit.choose(plan).status_code == 302
    assert newest_order().merchant == plan.merchant
    assert newest_order().enterprise == owner


def test_a_device_that_was_never_online_says_what_comes_first_A12() -> None:
    visit = Visit()
    visit.plan()
    page = visit.look()
    assert "Not started yet" in page
    assert "Not seen yet" in page
    assert "Trial starts after 1 hour online" in page
    assert "You can renew when it is over: after 10 hours online." in page
    assert "<form" not in visit.browser.get(visit.path).content.decode()


def test_a_trial_says_how_much_is_used_and_when_renewal_opens_A12() -> None:
    visit = Visit()
    plan = visit.plan()
    visit.online(NOW - timedelta(hours=3, minutes=30))
    advance_due_services(now=NOW)
    page = visit.look()
    assert "3.5 of 10 hours online" in page
    assert "You can renew when it is over: after 10 hours online." in page
    refused = visit.choose(plan)
    assert refused.status_code == 409
    assert "Renewal opens when it ends" in words(refused)
    assert not Order.objects.exists()


def test_early_renewal_says_before_the_payment_what_it_gives_up_A13() -> None:
    product = make_product(now=BEFORE, trial_end=10 * HOUR, renewal_before_trial_end=True)
    visit = Visit(product)
    plan = visit.plan()
    assert "Paying now ends the free trial" in visit.look()
    included = visit.plan(amount=0, months=6, name="Included")
    make_rule_change(product, now=BEFORE + DAY, auto_subscribe=True, auto_plan=included)
    assert "You have 6 months included after the trial; paying now replaces them." in visit.look()
    assert visit.choose(plan).status_code == 302


def test_a_running_service_shows_its_end_in_the_enterprises_zone_A14() -> None:
    """23:30 in Berlin on the last day is still that day, though it is the next one in Shanghai."""
    product = make_product(make_enterprise(time_zone="Europe/Berlin", now=BEFORE), now=BEFORE)
    visit = Visit(product).over().renewed(12, NOW.replace(hour=22, minute=30) - DAY)
    visit.plan()
    page = visit.look()
    assert "Running" in page
    assert "Service ends 28 February 2027" in page
    assert "New end: 28 February 2028" in page


def test_an_end_within_30_days_says_how_many_are_left() -> None:
    visit = Visit().over().renewed(1, NOW - 18 * DAY - timedelta(hours=1))
    assert "9 days left" in visit.look()


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (30 * DAY, "30 days left"),
        (30 * DAY + timedelta(minutes=1), "Running"),
        (2 * DAY - timedelta(minutes=1), "1 day left"),
        (DAY - timedelta(minutes=1), "23 hours left"),
        (timedelta(minutes=59), "Less than an hour left"),
        (timedelta(0), "Service stopped"),
    ],
)
def test_the_time_left_is_never_rounded_up(left: timedelta, said: str) -> None:
    visit = Visit().over().renewed(12, NOW - DAY)
    DeviceService.objects.filter(pk=visit.device.pk).update(ends_at=NOW + left)
    assert said in visit.look()


@pytest.mark.parametrize(
    ("locked", "online", "said"),
    [
        (True, True, "The device is locked. It unlocks by itself within seconds of your payment."),
        (True, False, "unlocks by itself when it is next online: check its power and its network."),
        (False, True, "The device is being locked."),
        (False, False, "It locks when it is next online"),
    ],
)
def test_a_stopped_service_says_what_the_device_reported_and_where_it_stands_A24(
    locked: bool, online: bool, said: str
) -> None:
    visit = Visit().over()
    visit.plan()
    visit.online(NOW - 2 * DAY)
    if locked:
        visit.report(True, NOW - 2 * DAY)
    if not online:
        visit.offline(NOW - DAY)
    page = visit.look()
    assert "Service stopped" in page
    assert said in page
    assert ("Online now" if online else "Offline Last seen 27 February 2026, 20:00") in page
    assert "Choose how long to renew" in page


def test_a_service_whose_end_has_passed_shows_stopped_before_the_sweep_comes_A17() -> None:
    visit = Visit().over().renewed(1, NOW - 40 * DAY)
    assert visit.service.state == State.ACTIVE.value
    visit.plan(months=1, amount=1_990)
    page = visit.look()
    assert "Service stopped" in page
    assert "New end: 1 April 2026" in page


def test_a_paid_device_that_is_still_locked_says_so() -> None:
    visit = Visit().over()
    visit.online()
    visit.report(True, NOW - timedelta(hours=2))
    visit.renewed(12, NOW - timedelta(hours=1))
    assert visit.service.desired_lock == Lock.UNLOCKED.value
    assert "Paid. The device is being unlocked." in visit.look()


def test_a_free_service_can_be_left_by_a_purchase_A16() -> None:
    visit = Visit().over()
    DeviceService.objects.filter(pk=visit.device.pk).update(state=State.FREE.value, ends_at=None)
    plan = visit.plan()
    page = visit.look()
    assert "Free service" in page
    assert "New end: 1 March 2027" in page
    assert visit.choose(plan).status_code == 302


def test_without_a_plan_or_without_paid_mode_the_page_says_why_A1() -> None:
    nothing = Visit().over()
    assert "No plan is on sale for this device at the moment." in nothing.look()
    off = Visit(make_product(now=BEFORE, paid=False))
    off.plan()
    assert "Paid service is switched off for this product" in off.look()
    assert "No paid service" in off.look()
    assert "Trial" not in off.look()
    stopped = Visit().over()
    stopped.plan()
    make_rule_change(stopped.product, now=NOW - DAY, paid_mode=False, unlock=False)
    assert "is being locked" not in stopped.look()  # A25: waiting locks were cancelled
    assert "locks when" not in stopped.look()
    far = Visit().over().renewed(120, NOW - DAY)
    for number in range(2):
        far.renewed(120, NOW - timedelta(hours=number + 1))
    far.plan(months=12)
    assert "already paid for as far ahead as possible" in far.look()


def test_plans_show_price_price_a_month_and_new_end_longest_first() -> None:
    visit = Visit().over()
    visit.plan(months=1, amount=1_990)
    visit.plan(months=12, amount=19_900)
    page = visit.look()
    assert page.index("12 months") < page.index("1 month ")
    assert "12 months ¥199.00 New end: 1 March 2027 ¥16.58 a month" in page
    assert "1 month ¥19.90 New end: 1 April 2026" in page
    assert f"You pay {visit.product.enterprise.name} Ltd" in page


def test_two_sellers_are_told_apart_beside_their_prices() -> None:
    maker = make_enterprise("Maker", now=BEFORE)
    reseller = make_enterprise("Reseller", parent=maker, now=BEFORE)
    visit = Visit(make_product(maker, now=BEFORE), enterprise=reseller).over()
    visit.plan(name="From the maker")
    visit.plan(name="From the shop", enterprise=reseller, plan_type=PlanType.RESELLER, amount=18_900)
    page = visit.look()
    for shown in ("Paid to Maker Ltd", "Paid to Reseller Ltd", "From the maker", "From the shop"):
        assert shown in page
    assert "You pay" not in page


def test_a_running_service_is_renewed_on_its_own_level_only_E4() -> None:
    visit = Visit().over()
    standard = visit.plan()
    premium = ServiceLevel.objects.create(enterprise=visit.product.enterprise, name="Premium", rank=99)
    premium.products.add(visit.product)
    better = visit.plan(name="Premium", amount=29_900)
    Plan.objects.filter(pk=better.pk).update(level=premium)
    assert "Premium, 12 months" in visit.look()
    visit.renewed(12, NOW - DAY)
    assert "Premium" not in visit.look()
    assert visit.choose(better).status_code == 409
    assert visit.choose(standard).status_code == 302


def test_the_language_follows_the_browser_and_can_be_chosen() -> None:
    visit = Visit().over()
    plan = visit.plan()
    assert 'lang="en"' in visit.browser.get(visit.path).content.decode()
    chinese = visit.browser.get(visit.path, headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert 'lang="zh-hans"' in chinese.content.decode()
    assert chinese.headers["Content-Language"] == "zh-hans"
    chosen = visit.browser.get(f"{visit.path}?lang=zh-hans").content.decode()
    action = re.search(r'action="([^"]+)"', chosen)
    assert action
    answer = visit.browser.post(action[1].replace("&amp;", "&"), {"plan": plan.pk})
    back = visit.press_pay(answer["Location"])
    assert visit.browser.get(back["Location"], follow=True).redirect_chain[-1][0].endswith("?lang=zh-hans")
    assert 'lang="en"' in visit.browser.get(f"{visit.path}?lang=<script>").content.decode()


def test_the_page_weighs_less_than_60_KB_with_all_its_files() -> None:
    visit = Visit().over()
    for months in range(1, 13):
        visit.plan(months=months, amount=1_000 * months)
    page = visit.browser.get(visit.path).content
    files = [Path(str(finders.find(f"amp/{name}"))).read_bytes() for name in ("public.css", "follow.js")]
    assert len(page) + sum(map(len, files)) < 60 * 1024
    assert b"<script" not in page


@pytest.mark.parametrize("plans", [1, 6])
def test_the_page_costs_the_same_queries_whatever_is_on_sale(plans: int) -> None:
    expired, trial = Visit().over(), Visit()
    trial.online(NOW - timedelta(hours=3))
    advance_due_services(now=NOW)
    for months in range(1, plans + 1):
        expired.plan(months=months, amount=1_000 * months)
        trial.plan(months=months, amount=1_000 * months)
    for visit, name in ((expired, "expired"), (trial, "trial")):
        with CaptureQueriesContext(connection) as queries:
            visit.look()
        assert len(queries) == QUERIES[name], [query["sql"] for query in queries]


def test_one_device_is_quoted_for_many_lengths_as_for_each_alone_Q5() -> None:
    visit = Visit().over().renewed(1, NOW - DAY)
    together = quote_periods(visit.device.pk, months=[1, 12, 12], now=NOW)
    assert together == {months: quote_renewals([visit.device.pk], months=months, now=NOW)[0] for months in (1, 12)}
