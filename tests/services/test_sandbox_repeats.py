"""The sandbox repeats its notices until somebody says success (F24, F26)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from billing.bill_files import BEIJING
from billing.models import SandboxTrade
from billing.services.bills import import_bill, settle_bill
from billing.services.sandbox import Trouble, pay
from billing.services.sandbox_bills import sandbox_bill
from billing.services.sandbox_notices import FIRST_REPEAT, REPEATS, send_due_notices
from tests.services.gateway import books_in_order, page_of, shop, status_of, wire
from tests.services.shop import MINUTE, NOW, WALL, Loopback, Shop, money

__all__ = ["books_in_order", "shop", "wire"]


def test_an_unanswered_notice_is_repeated_with_a_back_off_until_success_F26(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/pay/notify/",)
    assert Client().post(page_of(attempt)).status_code == 302
    trade = SandboxTrade.objects.get()
    assert (trade.notify_attempts, trade.notify_due_at) == (1, WALL + REPEATS[0])
    assert send_due_notices(wall=WALL + REPEATS[0] - timedelta(seconds=1)) == 0
    wire.at(REPEATS[0])
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PENDING", "PENDING")
    wire.lost_requests = ()
    wire.at(REPEATS[0] + REPEATS[1])
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PAID", "PAID")
    assert send_due_notices(wall=wire.wall + timedelta(days=1)) == 0


def test_a_success_whose_answer_was_lost_is_repeated_and_harmless_F24(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_answers = ("/pay/notify/",)
    Client().post(page_of(attempt))
    assert status_of(attempt) == ("PAID", "PAID")
    wire.lost_answers = ()
    wire.at(REPEATS[0])
    assert send_due_notices(wall=wire.wall) == 1
    assert money(attempt.order) == {"RECEIVED": 19_900}


def test_a_second_payment_is_told_until_it_is_heard_once_F31(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/pay/notify/",)
    Client().post(page_of(attempt), {"trouble": Trouble.SECOND.value})
    assert money(attempt.order) == {}
    wire.lost_requests = ()
    for repeat in REPEATS[:2]:
        wire.at(wire.wall - WALL + repeat)
        send_due_notices(wall=wire.wall)
    assert money(attempt.order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    assert [case.kind for case in attempt.exceptions.all()] == ["SECOND_PAYMENT"]


def test_a_code_that_was_paid_is_paid_again_once_F31(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    Client().post(page_of(attempt))
    for _press in range(2):
        Client().post(page_of(attempt), {"trouble": Trouble.SECOND.value})
    assert money(attempt.order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    assert SandboxTrade.objects.get().second_amount == 19_900


def test_the_day_s_bill_tells_of_a_second_payment_whose_notice_was_lost_F31(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.at(MINUTE)
    Client().post(page_of(attempt))
    wire.lost_requests = ("/pay/notify/",)
    Client().post(page_of(attempt), {"trouble": Trouble.SECOND.value})
    assert money(attempt.order) == {"RECEIVED": 19_900}
    day, next_day = NOW.astimezone(BEIJING).date(), NOW + timedelta(days=1)
    content = sandbox_bill(account=attempt.account, day=day)
    bill, _new = import_bill(
        account=attempt.account, day=day, file_name="bill.csv", content=content, actor="fin", now=next_day
    )
    assert list(bill.rows.order_by("pk").values_list("result", flat=True)) == ["MATCHED", "TO_SETTLE"]
    assert settle_bill(bill=bill, actor="fin", now=next_day) == 0
    assert money(attempt.order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    assert [case.kind for case in attempt.exceptions.all()] == ["SECOND_PAYMENT"]


def test_a_gateway_killed_after_its_commit_still_tells(shop: Shop, wire: Loopback, monkeypatch: Any) -> None:
    attempt = shop.attempt()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("billing.services.sandbox.deliver", die)
        with pytest.raises(KeyboardInterrupt):
            pay(signed=page_of(attempt).rsplit("/", 1)[1], trouble=Trouble.NONE, now=NOW, wall=WALL)
    assert SandboxTrade.objects.get().status == "PAID"
    wire.at(FIRST_REPEAT)
    send_due_notices(wall=wire.wall)
    assert status_of(attempt) == ("PAID", "PAID")


def test_a_delayed_notice_comes_a_minute_later(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    Client().post(page_of(attempt), {"trouble": "delayed"})
    assert send_due_notices(wall=WALL + timedelta(seconds=59)) == 0
    wire.at(MINUTE)
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PAID", "PAID")


def test_after_the_last_repeat_the_gateway_gives_up(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/pay/notify/",)
    Client().post(page_of(attempt))
    wall = WALL
    for _ in range(len(REPEATS) + 5):
        wall += timedelta(hours=2)
        send_due_notices(wall=wall)
    trade = SandboxTrade.objects.get()
    assert (trade.notify_attempts, trade.notify_due_at) == (len(REPEATS) + 1, None)
