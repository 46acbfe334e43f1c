"""The renewal page of a device, as an end user's browser meets it (F85, F86, A12, A13, A24, Q3, Q5)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from amp.public import answers, throttle
from billing.models import MerchantAccount, Order, PaymentAttempt, PaymentException, SandboxTrade
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.polling import expire_due_orders
from catalog.models import Plan, PlanType, Product, ServiceLevel
from devices.lifecycle import Lock, State
from devices.models import Command, Device, DeviceService, Period, PublicToken
from devices.services.dispatch import dispatch_commands
from devices.services.lifecycle import advance_due_services
from devices.services.registration import Registered, terminate_device
from devices.services.renewal import RenewalRequest, quote_periods, quote_renewals, renew_services
from devices.services.tokens import issue_token, revoke_token
from devices.services.uplinks import Inbound, apply_batch
from devices.transports.recorded import RecordedTransport
from tests.factories import HOUR, make_device, make_enterprise, make_plan, make_product, make_rule_change
from tests.services.shop import NOW, Loopback

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
BEFORE = NOW - 400 * DAY
QUERIES = {"expired": 10, "trial": 12}


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


class Visit:
    """One device and somebody who has scanned its code."""

    def __init__(self, product: Product | None = None, *, enterprise: Enterprise | None = None, **device: Any) -> None:
        self.product = product or make_product(now=BEFORE, trial_start=HOUR, trial_end=10 * HOUR)
        registered: Registered = make_device(self.product, enterprise=enterprise, now=BEFORE, **device)
        self.device, self.token = registered.device, registered.renewal_token
        self.browser = Client()

    @property
    def path(self) -> str:
        return f"/r/{self.token}"

    @property
    def service(self) -> DeviceService:
        return DeviceService.objects.get(pk=self.device.pk)

    def plan(self, **terms: Any) -> Plan:
        return make_plan(self.product, now=BEFORE, **terms)

    def look(self, query: str = "", **headers: Any) -> str:
        response = self.browser.get(self.path + query, **headers)
        assert response.status_code == 200
        return words(response)

    def choose(self, plan: Plan | int | str, **extra: Any) -> HttpResponse:
        chosen = plan.pk if isinstance(plan, Plan) else plan
        return self.browser.post(f"{self.path}/pay", {"plan": chosen, **extra})

    def press_pay(self, signed: str, trouble: str = "") -> HttpResponse:
        """The button of the gateway's page."""
        return self.browser.post(re.sub("^https?://[^/]+", "", signed), {"trouble": trouble})

    def say(self, tail: str, body: dict[str, Any], at: Any = NOW) -> None:
        topic = f"amp/{self.product.key}/{self.device.key}/{tail}"
        apply_batch([Inbound(topic, json.dumps(body).encode(), False, at, False)], now=at)

    def online(self, at: Any = NOW - DAY) -> None:
        self.say("status", {"value": 1, "session": 7}, at)

    def offline(self, at: Any = NOW - DAY) -> None:
        self.say("status", {"value": 0, "session": 7}, at)

    def report(self, locked: bool, at: Any = NOW) -> None:
        data = {"kv": {"service_lock": "true" if locked else "false"}}
        self.say("up/attr", {"ticket": "t", "type": "MATTR", "subtype": "REPORT", "data": data}, at)

    def over(self) -> Visit:
        """Past its trial: EXPIRED."""
        self.say("status", {"value": 1, "session": 1}, BEFORE)
        self.say("status", {"value": 0, "session": 1}, BEFORE + timedelta(hours=11))
        while advance_due_services(now=BEFORE + timedelta(hours=11)).found:
            pass
        return self

    def renewed(self, months: int, at: Any) -> Visit:
        level = ServiceLevel.objects.get(standard_of=self.product)
        request = RenewalRequest(self.device.pk, months, level.pk, "Plan", f"test:{self.device.pk}:{at}", at)
        renew_services([request], actor="test", now=at)
        return self


def words(response: Any) -> str:
    """Text of a page, without markup, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode())).strip()


def rows() -> dict[str, int]:
    """Number of rows of every table that a visitor could make grow."""
    kinds: tuple[type[models.Model], ...] = (Order, PaymentAttempt, MerchantAccount, SandboxTrade, Command, Period)
    return {kind.__name__: kind._default_manager.count() for kind in kinds}


def newest_order() -> Order:
    return Order.objects.latest("pk")


# --- the link ---------------------------------------------------------------------------------------------------------


def test_looking_creates_nothing_and_sets_no_cookie_F85() -> None:
    visit = Visit().over()
    visit.plan()
    before = rows()
    with CaptureQueriesContext(connection) as queries:
        response = visit.browser.get(visit.path)
    assert rows() == before
    assert not response.cookies
    assert not [query["sql"] for query in queries if not query["sql"].startswith("SELECT")]


def test_unknown_malformed_revoked_and_terminated_links_answer_alike_F85() -> None:
    live, revoked, ended = Visit(), Visit(), Visit()
    revoke_token(token=PublicToken.objects.get(device=revoked.device), actor="test", now=NOW)
    terminate_device(device=ended.device, actor="test", now=NOW)
    made_up = live.token[:-1] + ("A" if live.token[-1] != "A" else "B")
    paths = [
        revoked.path,
        ended.path,
        f"/r/{made_up}",
        "/r/x",
        "/r/",
        "/r/a/b/c",
        f"{live.path}/",
        "/r/%00%ff",
        f"{live.path}/orders/NONE",
    ]
    answers_ = [Client().get(path) for path in paths]
    assert {answer.status_code for answer in answers_} == {404}
    assert len({answer.content for answer in answers_}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers_}) == 1
    posted = Client().post(f"/r/{made_up}/pay", {"plan": 1})
    assert (posted.status_code, posted.content) == (404, answers_[0].content)
    assert live.browser.get(live.path).status_code == 200


def test_a_new_link_works_beside_the_old_one_until_that_is_revoked_F85() -> None:
    visit = Visit()
    fresh = issue_token(device=visit.device, actor="test", now=NOW)
    assert Client().get(f"/r/{fresh}").status_code == Client().get(visit.path).status_code == 200
    assert fresh not in {row.digest for row in PublicToken.objects.all()}


def test_every_answer_is_private_and_runs_no_foreign_script_F85_F91() -> None:
    visit = Visit().over()
    plan = visit.plan()
    visit.choose(plan)
    order = newest_order().number
    for path in [visit.path, "/r/nothing", f"{visit.path}/orders/{order}", f"{visit.path}/orders/{order}/status"]:
        headers = visit.browser.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in headers["X-Robots-Tag"]
        policy = headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert "default-src 'none'" in policy
    page = visit.browser.get(visit.path).content.decode()
    assert not re.search(r"\sstyle=|<style|<script(?! src)|\son[a-z]+=", page)


def test_a_name_that_is_markup_is_shown_as_text_F91() -> None:
    evil = "<script>alert(1)</script>"
    product = make_product(make_enterprise(f"Maker {evil}", now=BEFORE), name=f"Pump {evil}", now=BEFORE)
    visit = Visit(product, serial="<b>1")
    page = visit.browser.get(visit.path).content.decode()
    assert evil not in page
    assert "<b>1" not in page
    assert "Pump &lt;script&gt;" in page


def test_links_come_from_the_configured_address_never_from_the_host_header_F96(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    visit = Visit().over()
    plan = visit.plan()
    assert "evil.example" not in visit.browser.get(visit.path, headers={"host": "evil.example"}).content.decode()
    answer = visit.browser.post(f"{visit.path}/pay", {"plan": plan.pk}, headers={"host": "evil.example"})
    assert answer["Location"].startswith(settings.BASE_URL + "/sandbox/pay/")


def test_a_post_without_referrer_is_no_forgery_because_the_link_is_the_permission() -> None:
    """Browsers send `Origin: null` from a page that tells no referrer; Django's CSRF check would refuse that."""
    visit = Visit().over()
    plan = visit.plan()
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(f"{visit.path}/pay", {"plan": plan.pk}, headers={"origin": "null"})
    assert answer.status_code == 302


def test_an_address_that_asks_too_often_waits_and_the_others_do_not_F85(wire: Loopback) -> None:
    visit = Visit()
    for _look in range(120):
        assert visit.browser.get("/r/guess", REMOTE_ADDR="192.0.2.1").status_code == 404
    refused = visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.1")
    assert refused.status_code == 429
    assert refused.headers["Cache-Control"] == "no-store"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.2").status_code == 200
    wire.at(timedelta(minutes=1))
    assert visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_orders_are_limited_more_narrowly_than_looks() -> None:
    visit = Visit().over()
    plan = visit.plan()
    answers_ = {visit.choose(plan).status_code for _press in range(20)}
    assert answers_ == {302}
    assert visit.choose(plan).status_code == 429
    assert visit.browser.get(visit.path).status_code == 200


def test_a_made_up_forwarded_address_does_not_escape_the_limit_F94(settings: Any) -> None:
    def counted(**meta: Any) -> str:
        return throttle.address_of(Client().get("/r/x", **meta).wsgi_request)

    forged = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9, 198.51.100.7"}
    settings.TRUSTED_PROXIES = 0
    assert counted(**forged) == "192.0.2.1"
    settings.TRUSTED_PROXIES = 1
    assert counted(**forged) == "198.51.100.7"
    assert counted(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="rubbish") == "192.0.2.1"
    assert counted(REMOTE_ADDR="2001:db8:1:2:3:4:5:6") == counted(REMOTE_ADDR="2001:db8:1:2::9")
    assert counted(REMOTE_ADDR="::ffff:192.0.2.1") == "192.0.2.1"


def test_without_a_cache_the_page_stays_open_R5(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(throttle.cache, "add", lost)
    visit = Visit()
    assert {visit.browser.get(visit.path).status_code for _look in range(125)} == {200}


# --- what it shows ----------------------------------------------------------------------------------------------------


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


# --- paying -----------------------------------------------------------------------------------------------------------


def test_only_the_plan_choice_counts_and_everything_else_is_ignored_F86() -> None:
    visit, other = Visit().over(), Visit().over()
    plan = visit.plan()
    forged = {"price": "1", "amount": "1", "total": "1", "device": other.device.pk, "device_ids": other.device.pk}
    answer = visit.choose(plan, **forged, merchant=other.product.enterprise.pk, months=120, currency="USD")
    assert answer.status_code == 302
    order = newest_order()
    assert (order.total, order.currency, order.months, order.merchant) == (19_900, "CNY", 12, plan.merchant)
    assert [line.device for line in order.lines.all()] == [visit.device]


def test_a_foreign_withdrawn_or_made_up_plan_is_refused_and_nothing_is_made_F86() -> None:
    visit, other = Visit().over(), Visit().over()
    visit.plan()
    foreign = other.plan(amount=100)
    draft = visit.plan(name="Draft", published=False, amount=200)
    for chosen in (foreign.pk, draft.pk, 999_999, "", "abc", "1 OR 1=1", "9" * 40, "١"):
        answer = visit.choose(chosen)
        assert answer.status_code == 409
        assert "This plan is not on offer. Please choose again." in words(answer)
    assert not Order.objects.exists()


def test_a_free_plan_is_neither_shown_nor_accepted_Q5() -> None:
    visit = Visit().over()
    visit.plan(months=1, amount=1_990)
    free = visit.plan(months=24, amount=0)
    assert "24 months" not in visit.look()
    assert visit.choose(free).status_code == 409
    assert not Order.objects.exists()


def test_pressing_pay_twice_leads_to_the_same_payment_F33() -> None:
    visit = Visit().over()
    plan = visit.plan()
    first, second = visit.choose(plan), visit.choose(plan)
    assert first["Location"] == second["Location"]
    assert (Order.objects.count(), PaymentAttempt.objects.count()) == (1, 1)


def test_the_whole_way_from_the_code_to_the_unlocked_device_Q3_A16(wire: Loopback) -> None:
    visit = Visit().over()
    plan = visit.plan()
    visit.online(NOW - 2 * DAY)
    visit.report(True, NOW - 2 * DAY)
    pay_at = visit.choose(plan)["Location"]
    order = newest_order()
    result = f"{visit.path}/orders/{order.number}"
    assert "Waiting for your payment" in words(visit.browser.get(result))
    assert visit.service.state == State.EXPIRED.value  # never on scan

    wire.at(timedelta(minutes=3))
    back = visit.press_pay(pay_at)
    page = visit.browser.get(back["Location"], follow=True)
    assert page.redirect_chain[-1][0] == result
    assert "Payment received" in words(page)
    moving = visit.browser.get(f"{result}/status").json()
    assert moving["moving"]

    fulfil_paid_orders(now=wire.now)
    page = visit.browser.get(result)
    assert "It now runs until 1 March 2027." in words(page)
    assert "Unlock on its way" in words(page)
    assert visit.browser.get(f"{result}/status").json()["version"] != moving["version"]

    dispatch_commands(now=wire.now, transport=RecordedTransport(), limit=10)
    ticket = str(Command.objects.get(device=visit.device, kind="UNLOCK").ticket)
    visit.say("up/ack", {"ticket": ticket, "status": "succ"}, wire.now)
    visit.report(False, wire.now)
    page = visit.browser.get(result)
    assert "Device unlocked" in words(page)
    assert b"follow.js" not in page.content
    assert not visit.browser.get(f"{result}/status").json()["moving"]
    assert visit.service.ends_at == NOW.replace(minute=3) + 365 * DAY


def test_a_lost_notice_is_asked_for_while_the_payer_waits_F26(wire: Loopback) -> None:
    visit = Visit().over()
    visit.press_pay(visit.choose(visit.plan())["Location"], trouble="dropped")
    order = newest_order()
    assert order.status == "PENDING"
    answer = visit.browser.get(f"{visit.path}/orders/{order.number}/status").json()
    assert answer["version"].startswith("PAID.")
    order.refresh_from_db()
    assert order.status == "PAID"


def test_the_browsers_word_of_a_payment_changes_nothing_Q3() -> None:
    visit = Visit().over()
    visit.choose(visit.plan())
    order = newest_order()
    page = visit.browser.get(f"{visit.path}/orders/{order.number}?paid=1&status=PAID&trade_status=TRADE_SUCCESS")
    assert "Waiting for your payment" in words(page)
    order.refresh_from_db()
    assert order.status == "PENDING"


def test_without_a_script_the_result_page_refreshes_itself() -> None:
    visit = Visit().over()
    visit.choose(visit.plan())
    page = visit.browser.get(f"{visit.path}/orders/{newest_order().number}").content.decode()
    assert '<noscript><meta http-equiv="refresh" content="4"></noscript>' in page
    assert "Go to the payment" in page


def test_the_order_of_another_device_is_unknown_here_R6() -> None:
    visit, other = Visit().over(), Visit().over()
    other.choose(other.plan())
    number = newest_order().number
    assert other.browser.get(f"{other.path}/orders/{number}").status_code == 200
    for path in (f"{visit.path}/orders/{number}", f"{visit.path}/orders/{number}/status"):
        assert visit.browser.get(path).status_code == 404


def test_an_order_of_staff_is_not_shown_on_the_page() -> None:
    visit = Visit().over()
    visit.choose(visit.plan())
    Order.objects.update(channel="STAFF")
    assert visit.browser.get(f"{visit.path}/orders/{newest_order().number}").status_code == 404


def test_a_paid_page_does_not_ask_for_money_again_by_itself(wire: Loopback) -> None:
    visit = Visit().over()
    plan = visit.plan()
    seen = re.search(r'action="([^"]+)"', visit.browser.get(visit.path).content.decode())
    assert seen
    visit.press_pay(visit.browser.post(seen[1], {"plan": plan.pk})["Location"])
    page = visit.look()  # paid, not applied yet
    assert "¥199.00 paid. The service is being extended." in page
    assert "Choose how long to renew" not in page
    assert visit.choose(plan).status_code == 409

    fulfil_paid_orders(now=wire.now)
    page = visit.look()
    assert "¥199.00 paid. The service runs until 1 March 2027." in page
    assert "Choose how long to renew" not in page
    assert "Choose how long to renew" in visit.look("?more=1")
    stale = visit.browser.post(seen[1], {"plan": plan.pk})  # the form that Back brings up
    assert stale.status_code == 409
    assert "The service has changed meanwhile." in words(stale)
    assert Order.objects.count() == 1
    fresh = re.search(r'action="([^"]+)"', visit.browser.get(f"{visit.path}?more=1").content.decode())
    assert fresh
    assert visit.browser.post(fresh[1], {"plan": plan.pk}).status_code == 302

    wire.at(timedelta(minutes=31))
    assert "Choose how long to renew" in visit.look()


def test_a_wrong_amount_is_said_to_be_checked_and_extends_nothing(wire: Loopback) -> None:
    visit = Visit().over()
    visit.press_pay(visit.choose(visit.plan())["Location"], trouble="wrong_amount")
    page = words(visit.browser.get(f"{visit.path}/orders/{newest_order().number}"))
    assert "The seller checks your payment" in page
    assert PaymentException.objects.count() == 1
    assert not Period.objects.filter(device=visit.device).exists()


def test_an_unpaid_order_ends_and_the_page_says_so_Q2(wire: Loopback) -> None:
    visit = Visit().over()
    plan = visit.plan()
    visit.choose(plan)
    number = newest_order().number
    now, wall = wire.at(timedelta(minutes=31))
    expire_due_orders(now=now, wall=wall)
    page = visit.browser.get(f"{visit.path}/orders/{number}")
    assert "This payment is no longer open" in words(page)
    assert b"follow.js" not in page.content
    visit.choose(plan)
    assert newest_order().number != number


def test_a_device_terminated_after_the_payment_gets_no_page_and_its_money_is_kept_Q4(wire: Loopback) -> None:
    visit = Visit().over()
    visit.press_pay(visit.choose(visit.plan())["Location"])
    terminate_device(device=visit.device, actor="test", now=NOW)
    fulfil_paid_orders(now=wire.now)
    assert visit.browser.get(visit.path).status_code == 404
    assert PaymentException.objects.get().kind == "UNAPPLIED_LINES"


def test_a_seller_without_a_payment_account_is_told_in_words(settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    visit = Visit().over()
    answer = visit.choose(visit.plan())
    assert answer.status_code == 409
    assert "no payment account is connected" in words(answer)


def test_the_rate_limit_is_what_stops_a_guesser_and_not_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the brake off, the same flood gets through."""
    monkeypatch.setattr(answers, "is_too_fast", lambda *_, **__: False)
    visit = Visit()
    codes = [visit.browser.get("/r/guess").status_code for _look in range(130)]
    assert set(codes) == {404}


def test_one_device_is_quoted_for_many_lengths_as_for_each_alone_Q5() -> None:
    visit = Visit().over().renewed(1, NOW - DAY)
    together = quote_periods(visit.device.pk, months=[1, 12, 12], now=NOW)
    assert together == {months: quote_renewals([visit.device.pk], months=months, now=NOW)[0] for months in (1, 12)}


def test_a_view_of_one_link_sees_the_devices_of_that_enterprise_alone_R6() -> None:
    visit, other = Visit(), Visit()

    @answers.for_link("GET")
    def seen(_request: HttpRequest, _device: Device, _token: str) -> HttpResponse:
        return HttpResponse(",".join(Device.objects.values_list("key", flat=True)))

    assert seen(RequestFactory().get("/"), visit.token).content.decode() == visit.device.key
    assert seen(RequestFactory().get("/"), other.token).content.decode() == other.device.key
