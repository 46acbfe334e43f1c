"""Lives of orders, step by step, as the processes of a product live them: each step in a process of its own.

A step may be done again after its process has died, as its caller would: the click is made again with the same key, the
gateway repeats its notice, the sweep comes round. `STEPS` run in a child of the zygote; a life names them with the
moment of each, in seconds since the order was made. What the payer does at the gateway is "pay".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings

from amp.foundation import clock, crashing
from amp.foundation.scoping import system_scope
from billing import tasks
from billing.models import BankPayout, BankReceipt, Effect, MerchantAccount, Order, OrderChannel, PaymentAttempt, Refund
from billing.services import fulfilment, refund_effects
from billing.services.attempts import start_attempt
from billing.services.offline import confirm_payout, confirm_receipt, record_payout, record_receipt
from billing.services.ordering import open_order
from billing.services.refunds import approve_refund, request_refund
from catalog.models import Plan
from tests.gateways.process import Sent
from tests.money import defects_of_steps
from tests.services.benches import deliver
from tests.services.refunding import ANN, BOB
from tests.services.shop import NOW, WALL

SWEEPS_APART = 61
"""Longer than any lease: whatever a dead process held is free at the next sweep."""
SLICE = 2
"""Three devices are two slices."""


class Step(NamedTuple):
    """What happens when, in seconds; `sweeps` is how often beat comes round in a step of sweeping."""

    name: str
    at: int
    sweeps: int = 0
    fault: str = ""


class Life(NamedTuple):
    """At which seller, and what happens there."""

    kind: str
    steps: tuple[Step, ...]


BOUGHT = (Step("order", 0), Step("code", 5))
PAID = (*BOUGHT, Step("pay", 20), Step("notice", 25), Step("sweep", 30, sweeps=3))
GIVEN_BACK = (Step("refund", 3_600), Step("approve", 3_660))
LIVES = {
    "found by the poll": Life(
        "alipay-direct", (*BOUGHT, Step("pay", 20, fault="dropped"), Step("sweep", 30, sweeps=4))
    ),
    "never paid": Life("wechat-partner", (*BOUGHT, Step("sweep", 1_830, sweeps=3))),
    "paid": Life("wechat-direct", PAID),
    "bank transfer": Life(
        "offline",
        (
            *(*BOUGHT, Step("receipt", 20), Step("sweep", 30, sweeps=3), *GIVEN_BACK, Step("sweep", 3_720, sweeps=1)),
            *(Step("payout", 3_900), Step("seen", 3_960), Step("sweep", 4_000, sweeps=3)),
        ),
    ),
    "paid twice": Life(
        "alipay-partner",
        (
            *(*BOUGHT, Step("new code", 10), Step("pay", 20), Step("notice", 25), Step("sweep", 30, sweeps=3)),
            *(Step("approve", 3_600), Step("sweep", 3_660, sweeps=3)),
        ),
    ),
    "refund fails": Life(
        "wechat-direct", (*PAID, *GIVEN_BACK, Step("refunds fail", 3_700), Step("sweep", 3_720, sweeps=3))
    ),
    "refunded": Life("wechat-direct", (*PAID, *GIVEN_BACK, Step("sweep", 3_720, sweeps=5))),
}
"""The short ones first: a point is tried in the first life that comes by it, unless it is tried in all."""
OUTSIDE = {"pay", "refunds fail"}
"""Steps that are not ours."""


def live(command: dict[str, Any], by: Callable[[str], object]) -> None:
    """One step, in this process; `by` is told each point that it comes by, if the command asks for that."""
    fulfilment.SLICE = refund_effects.SLICE = SLICE
    if command.get("watched"):
        crashing._is_wanted = lambda name: bool(by(name)) and False  # type: ignore[assignment]
    if defect := command.get("defect"):
        defects_of_steps.plant(defect)
    with system_scope():
        for turn in range(max(command["sweeps"], 1)):
            _set_clocks(command["at"] + turn * SWEEPS_APART)
            STEPS[command["step"]](command)


def _set_clocks(seconds: int) -> None:
    """The product's, real time, and the gateways' own."""
    later = timedelta(seconds=seconds)
    clock.now, clock.wall = lambda: NOW + later, lambda: WALL + later  # type: ignore[assignment]
    told = json.dumps({"now": (WALL + later).isoformat()}).encode()
    url = f"{settings.PAYMENT_GATEWAYS['wechat']}/control/clock"
    with build_opener(ProxyHandler({})).open(Request(url, data=told), timeout=10):
        pass


def _order(command: dict[str, Any]) -> Order:
    order: Order = Order.objects.get(lines__device_id=command["devices"][0])
    return order


def _make_order(command: dict[str, Any]) -> None:
    plan = Plan.objects.get(pk=command["plan"])
    key = f"life {command['devices'][0]}"
    open_order(
        device_ids=command["devices"],
        plan=plan,
        channel=OrderChannel.STAFF,
        created_by=ANN,
        once_key=key,
        now=clock.now(),
    )


def _show_code(command: dict[str, Any], *, new_code: bool = False) -> None:
    account = MerchantAccount.objects.get(pk=command["account"])
    start_attempt(
        order=_order(command), now=clock.now(), wall=clock.wall(), provider_account=account, new_code=new_code
    )


def _show_new_code(command: dict[str, Any]) -> None:
    """Who clicked and saw no answer reloads the page, which shows the code that is open."""
    _show_code(command, new_code=PaymentAttempt.objects.filter(order=_order(command)).count() < 2)


def _take_notices(command: dict[str, Any]) -> None:
    answers = deliver([Sent(*sent[:2], body=bytes.fromhex(sent[2])) for sent in command["notices"]])
    assert {status for status, _body in answers} <= {200, 204}, answers


def _sweep(command: dict[str, Any]) -> None:
    for sweep in (tasks.fulfil_paid_orders, tasks.poll_attempts, tasks.expire_orders, tasks.work_refunds):
        sweep()


def _ask_for_refund(command: dict[str, Any]) -> None:
    """A part: whose money is back in full ends when the worker comes to it, which a death may put off."""
    order = _order(command)
    request_refund(
        order=order,
        amount=order.total // 3,
        effect=Effect.SHORTEN,
        reason="returned",
        asked_by=ANN,
        now=clock.now(),
        once_key=f"life {command['devices'][0]}",
    )


def _approve(command: dict[str, Any]) -> None:
    for refund in Refund.objects.filter(order=_order(command), status="REQUESTED"):
        approve_refund(refund=refund, by=BOB, now=clock.now())


def _confirm_receipt(command: dict[str, Any]) -> None:
    attempt = PaymentAttempt.objects.get(order=_order(command))
    receipt = BankReceipt.objects.filter(number=attempt.number).first() or record_receipt(
        attempt=attempt,
        amount=attempt.amount,
        currency=attempt.currency,
        reference=f"IN {attempt.number}",
        received_at=clock.now(),
        by=ANN,
        now=clock.now(),
    )
    confirm_receipt(receipt=receipt, by=BOB, now=clock.now())


def _pay_out(command: dict[str, Any]) -> None:
    payout = _payout(command)
    if payout.recorded_at is None:
        record_payout(payout=payout, reference=f"OUT {payout.number}", by=ANN, now=clock.now())


def _see_payout(command: dict[str, Any]) -> None:
    confirm_payout(payout=_payout(command), by=BOB, now=clock.now())


def _payout(command: dict[str, Any]) -> BankPayout:
    payout: BankPayout = BankPayout.objects.get(number=PaymentAttempt.objects.get(order=_order(command)).number)
    return payout


STEPS: dict[str, Callable[[dict[str, Any]], None]] = {
    "order": _make_order,
    "code": _show_code,
    "new code": _show_new_code,
    "notice": _take_notices,
    "sweep": _sweep,
    "refund": _ask_for_refund,
    "approve": _approve,
    "receipt": _confirm_receipt,
    "payout": _pay_out,
    "seen": _see_payout,
}
