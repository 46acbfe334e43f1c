"""Lives of orders in which a process dies by kill -9 at a named point, compared with the same lives without a death.

Whoever had called the dead process calls again, as people, gateways and beat do; then both lives must have come to the
same end, row by row and at the gateway.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

from amp.foundation.models import Event
from billing.models import (
    MoneyEntry,
    Order,
    OrderLine,
    PaymentAttempt,
    PaymentException,
    Refund,
    RefundLine,
)
from devices.models import Command, DeviceService, EarlyEnd, Period
from tests.gateways.process import Gateways
from tests.money.lives import LIVES, OUTSIDE, SWEEPS_APART, Step
from tests.money.tills import Till
from tests.money.zygote import Zygote
from tests.services.benches import OPENID
from tests.services.shop import WALL

DEVICES = 3


class Lived(NamedTuple):
    """A life that is over: what it left, the points that it came by, and how often a process died."""

    left: dict[str, Any]
    points: list[str]
    deaths: int


@dataclass
class Killer:
    """Runs lives, one after the other, each with devices of its own."""

    gateways: Gateways
    zygote: Zygote
    tills: dict[str, Till]
    leaves_debts: bool = False
    _number: Any = field(default_factory=count)

    def live(self, name: str, *, dies_at: str = "", defect: str = "") -> Lived:
        """One life; a process that comes by `dies_at` dies there, once."""
        till = self.tills[LIVES[name].kind]
        ids = till.devices(DEVICES, prefix=f"k{next(self._number)}x")
        told = {"devices": ids, "plan": till.shop.plan.pk, "account": till.account.pk, "defect": defect}
        points: list[str] = []
        deaths = 0
        self.zygote.wanted.unlink(missing_ok=True)
        if dies_at:
            self.zygote.wanted.write_text(dies_at)
        for step in LIVES[name].steps:
            if step.name in OUTSIDE:
                self._outside(step, ids)
            else:
                died, seen = self._lives_through(step, told | {"watched": not dies_at})
                deaths, points = deaths + died, points + seen
        self._rest()
        return Lived(left_by(ids, self.gateways), points, deaths)

    def _lives_through(self, step: Step, told: dict[str, Any]) -> tuple[bool, list[str]]:
        """One step in a process of its own, and where that dies, in another; whether it did."""
        if step.name == "notice":
            self.gateways.at(WALL + timedelta(seconds=step.at))
            told["notices"] = [(sent.url, sent.headers, sent.body.hex()) for sent in self.gateways.notices()]
        command = told | {"step": step.name, "at": step.at, "sweeps": step.sweeps}
        answer = self.zygote.does(**command)
        if died := answer["status"] == -signal.SIGKILL:
            # A sweep comes round as long as there is work; whoever else called calls again at once.
            command["at"] += step.sweeps * SWEEPS_APART
            answer = self.zygote.does(**command)
        assert answer["status"] == 0, "see the zygote's log"
        return died, answer["points"]

    def _outside(self, step: Step, ids: Sequence[int]) -> None:
        self.gateways.at(WALL + timedelta(seconds=step.at))
        attempts = PaymentAttempt.objects.filter(order__lines__device_id=ids[0]).order_by("pk")
        for attempt in attempts:
            if step.name == "refunds fail":
                self.gateways.say("refunds", course="failed", number=attempt.number)
            elif attempt.code:
                self.gateways.pay(attempt.code, fault=step.fault, payer=OPENID)

    def _rest(self) -> None:
        """Nothing of this life is due in the next one."""
        for rows in (PaymentAttempt.objects, Order.objects, Refund.objects):
            rows.update(due_at=None)


def left_by(ids: Sequence[int], gateways: Gateways) -> dict[str, Any]:
    """All that a life has left behind, without ids, numbers, and moments at which something was only noticed.

    Attempts that no money came through are left out: who clicks again gets another code.
    """
    order = Order.objects.get(lines__device_id=ids[0])
    attempts = PaymentAttempt.objects.filter(order=order, received__gt=0).order_by("pk")
    place = {pk: number for number, pk in enumerate(ids)}
    subjects = [f"order:{order.pk}", *(f"device:{pk}" for pk in ids)]
    trades = {trade["number"]: trade for trade in gateways.books()}
    return {
        "order": (order.status, order.total, order.paid_at, order.fulfilled_at is not None),
        "lines": _rows(OrderLine.objects.filter(order=order), "status", "amount", "refunded", "retries", "ends_at"),
        "attempts": _rows(attempts, "status", "received", "refunded", "paid_amount", "paid_at", "settles"),
        "open attempts": PaymentAttempt.objects.filter(
            order=order, status__in=["CREATED", "UNKNOWN", "PENDING"]
        ).count(),
        "money": _rows(MoneyEntry.objects.filter(attempt__order=order), "kind", "taken_from", "amount", "currency"),
        "refunds": _rows(Refund.objects.filter(order=order), "status", "amount", "effect", "has_lines", "approved_by"),
        "refund lines": _rows(
            RefundLine.objects.filter(refund__order=order), "amount", "is_live", "wanted_seconds", "taken_seconds"
        ),
        "cases": _rows(PaymentException.objects.filter(attempt__order=order), "kind", "amount", "resolution"),
        "periods": _rows(Period.objects.filter(device_id__in=ids), "number", "starts_at", "ends_at"),
        "cuts": _rows(EarlyEnd.objects.filter(device_id__in=ids), "previous_ends_at", "ends_at"),
        "services": [
            (place[pk], *values)
            for pk, *values in DeviceService.objects.filter(pk__in=ids)
            .order_by("pk")
            .values_list("pk", "state", "ends_at", "desired_lock")
        ],
        "commands": _rows(Command.objects.filter(device_id__in=ids), "kind", "generation", "status"),
        "events": sorted(Event.objects.filter(subject__in=subjects).values_list("kind", flat=True)),
        "at the gateway": [_told(trades.get(number)) for number in attempts.values_list("number", flat=True)],
    }


def _rows(rows: Any, *fields: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(values) for values in rows.values_list(*fields)), key=repr)


def _told(trade: dict[str, Any] | None) -> Any:
    if trade is None:  # a bank
        return None
    refunds = [(refund["amount"], refund["course"]) for refund in trade["refunds"].values()]
    return [paid["amount"] for paid in trade["transactions"]], sorted(refunds)
