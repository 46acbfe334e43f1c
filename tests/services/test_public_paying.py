"""Paying on the renewal page, from the plan choice to the unlocked device (F26, F33, F86, Q3, Q5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache

from amp.foundation.scoping import system_scope
from billing.models import Order, PaymentAttempt, PaymentException
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.polling import expire_due_orders
from devices.lifecycle import State
from devices.models import Command, Period
from devices.services.dispatch import dispatch_commands
from devices.services.registration import terminate_device
from devices.transports.recorded import RecordedTransport
from tests.services.shop import NOW, Loopback
from tests.services.visiting import DAY, Visit, newest_order, words

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


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
    assert "Pay ¥199.00 (TEST)" in page


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
    assert "No payment account is connected" in words(answer)
