"""Refunds at the sandbox gateway: once per number, never more than was paid, and with every problem on demand (F44)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Sum

from amp.foundation.services.refusals import Refused
from billing.models import MerchantAccount, SandboxRefund, SandboxTrade
from billing.orders import ATTEMPT_NUMBER, GatewayState
from billing.providers.protocol import RefundState


class RefundTrouble(StrEnum):
    """How refunds of a trade go, where somebody has asked for a problem."""

    NONE = ""
    LATER = "later"
    FAIL = "fail"
    UNANSWERED = "unanswered"


class PayRefused(Refused):
    """The link is no pay link, or its trade can't be paid any more."""


@transaction.atomic
def pay_back(account: MerchantAccount, asked: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Pays back once per refund number, and never more than was paid; both are checked under the trade's lock."""
    number, refund_number, amount = number_in(asked, "number"), number_in(asked, "refund_number"), asked.get("amount")
    trade = SandboxTrade.objects.select_for_update().filter(number=number, account=account).first()
    if trade is None or trade.status != GatewayState.PAID.value:
        raise PayRefused.because("There is no paid trade with this number.")
    known = SandboxRefund.objects.filter(number=refund_number).first()
    if known and (known.trade_id, known.amount) != (trade.pk, amount):
        raise PayRefused.because("This refund number was used for another refund.")
    if known is None:
        paid_back = SandboxRefund.objects.filter(trade=trade).exclude(status=RefundState.FAILED.value)
        refunded = paid_back.aggregate(sum=Sum("amount"))["sum"] or 0
        if type(amount) is not int or not 0 < amount <= trade.amount + trade.second_amount - refunded:
            raise PayRefused.because("More than was paid can't be refunded.")
        known = _made_refund(trade, refund_number, amount, now)
        return {**_told_of_refund(known), "lost": trade.refund_trouble == RefundTrouble.UNANSWERED.value}
    return _told_of_refund(known)


def _made_refund(trade: SandboxTrade, number: str, amount: int, now: datetime) -> SandboxRefund:
    slow = trade.refund_trouble in {RefundTrouble.LATER.value, RefundTrouble.FAIL.value}
    status = RefundState.PROCESSING if slow else RefundState.SUCCEEDED
    made: SandboxRefund = SandboxRefund.objects.create(
        trade=trade, number=number, amount=amount, status=status.value, created_at=now
    )
    return made


@transaction.atomic
def query_refund(account: MerchantAccount, asked: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A slow refund ends at the second question: it succeeds, or fails where that was asked for."""
    refund_number = number_in(asked, "refund_number")
    rows = SandboxRefund.objects.select_for_update(of=("self",)).select_related("trade")
    known = rows.filter(number=refund_number, trade__account=account).first()
    if known is None:
        return {"refund_number": refund_number, "state": RefundState.NOT_FOUND.value, "amount": 0}
    known.asked += 1
    if known.status == RefundState.PROCESSING.value and known.asked >= 2:
        failed = known.trade.refund_trouble == RefundTrouble.FAIL.value
        known.status = (RefundState.FAILED if failed else RefundState.SUCCEEDED).value
    known.save(update_fields=["asked", "status"])
    return _told_of_refund(known)


def _told_of_refund(refund: SandboxRefund) -> dict[str, Any]:
    return {"refund_number": refund.number, "state": refund.status, "amount": refund.amount}


def number_in(asked: dict[str, Any], name: str) -> str:
    """A number of ours in what was asked. Raises PayRefused."""
    number = asked.get(name)
    if not isinstance(number, str) or not ATTEMPT_NUMBER.fullmatch(number):
        raise PayRefused.because(f"{name} must be 6 to 32 letters and digits.")
    return number
