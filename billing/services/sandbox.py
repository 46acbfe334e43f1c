"""The sandbox gateway that plays itself: its pay page, its books, its answers. TEST money only.

It stands in for a company on the other side of the internet, so it shares nothing with settlement but the wire: it
reads no order and no payment, and tells us nothing except by signed answers and notices.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from amp.foundation.sealed import unseal
from billing.models import MerchantAccount, Provider, SandboxTrade
from billing.orders import GatewayState
from billing.providers.sandbox_wire import (
    PREFIX,
    SignatureRefused,
    Ticket,
    check_headers,
    claimed_account,
    dump,
    load,
    read_ticket,
    signed_headers,
)
from billing.services.accounts import notify_url
from billing.services.sandbox_notices import (
    DELAY,
    FIRST_REPEAT,
    deliver,
    deliver_forged,
    new_transaction_id,
    told_of,
)
from billing.services.sandbox_refunds import PayRefused, RefundTrouble, number_in, pay_back, query_refund


class Trouble(StrEnum):
    """Problems that the pay page offers, to see how the product bears them."""

    NONE = ""
    TWICE = "twice"
    WRONG_AMOUNT = "wrong_amount"
    FORGED = "forged"
    DROPPED = "dropped"
    DELAYED = "delayed"
    LATE = "late"
    SECOND = "second"
    UNANSWERED = "unanswered"


LOST_ANSWERS = 2
"""How many questions about a payment stay unanswered when the pay page is asked for that."""
UNANSWERED = 504


class PayPage(NamedTuple):
    """What the pay page shows. `amount` is minor units; `state` is a GatewayState."""

    ticket: Ticket
    merchant_name: str
    state: GatewayState
    is_expired: bool
    refund_trouble: RefundTrouble


class Answer(NamedTuple):
    """One answer of the gateway's interface."""

    status: int
    headers: dict[str, str]
    body: bytes


def pay_page(*, signed: str, now: datetime) -> PayPage:
    """What a pay link asks for; creates nothing. Raises PayRefused for a link that no account has signed."""
    account, ticket = _verified(signed)
    trade = SandboxTrade.objects.filter(number=ticket.number, account=account).first()
    state = GatewayState(trade.status) if trade else GatewayState.NOT_PAID
    trouble = RefundTrouble(trade.refund_trouble if trade else "")
    return PayPage(ticket, account.merchant.name, state, ticket.expires_at <= now, trouble)


def pay(*, signed: str, trouble: Trouble, now: datetime, wall: datetime) -> str:
    """Pay as the link says, commit, then tell the merchant; where the browser goes next ("" to stay).

    `now` becomes the gateway's success time, `wall` dates its signature. Raises PayRefused.
    """
    account, ticket = _verified(signed)
    if trouble is Trouble.FORGED:
        deliver_forged(account, ticket, now=now, wall=wall)
        return _safe(ticket.return_path)
    trade = _paid(account, ticket, trouble, now, wall)
    if trouble not in {Trouble.DROPPED, Trouble.DELAYED, Trouble.UNANSWERED}:
        deliver(trade, wall=wall)
    if trouble is Trouble.TWICE:
        deliver(trade, wall=wall)
    return _safe(ticket.return_path)


@transaction.atomic
def choose_refund_trouble(*, signed: str, trouble: RefundTrouble, now: datetime) -> None:
    """How refunds of this trade go from now on. Raises PayRefused."""
    account, ticket = _verified(signed)
    trade = _opened(account, ticket, now)
    trade.refund_trouble = trouble.value
    trade.save(update_fields=["refund_trouble"])


def answer(*, verb: str, headers: Mapping[str, str], body: bytes, now: datetime, wall: datetime) -> Answer:
    """One call of the gateway's interface: query, close, refund or query_refund, signed both ways.

    Where a problem was asked for, the work is done and the answer gets lost: it comes without a signature.
    """
    account = _account(headers.get(f"{PREFIX}Account", ""))
    if account is None or verb not in VERBS:
        return Answer(401, {}, b"{}")
    secret, own = _secret(account), account.public_id.hex
    try:
        check_headers(secret, headers, purpose=f"request:{verb}", account=own, body=body, wall=wall)
        status, told = 200, VERBS[verb](account, load(body), now)
    except SignatureRefused:
        return Answer(401, {}, b"{}")
    except PayRefused as refused:
        status, told = 422, {"problem": str(refused)}
    if told.pop("lost", False):
        return Answer(UNANSWERED, {}, b"{}")
    content, purpose = dump(told), f"answer:{headers[f'{PREFIX}Nonce']}"
    return Answer(status, signed_headers(secret, purpose=purpose, account=own, body=content, wall=wall), content)


def _verified(signed: str) -> tuple[MerchantAccount, Ticket]:
    try:
        account = _account(claimed_account(signed))
        if account is None:
            raise SignatureRefused("No such account.")
        return account, read_ticket(_secret(account), signed)
    except SignatureRefused:
        raise PayRefused.because(_("This is not a valid payment link. Ask the seller for a new one.")) from None


def _account(hex_id: str) -> MerchantAccount | None:
    try:
        public_id = uuid.UUID(hex=hex_id)
    except (ValueError, AttributeError):
        return None
    found = MerchantAccount.objects.filter(public_id=public_id, provider=Provider.SANDBOX.value)
    return found.select_related("merchant").first() if settings.SANDBOX_ENABLED else None


def _secret(account: MerchantAccount) -> bytes:
    return unseal(account.sealed_secret, str(account.public_id))


@transaction.atomic
def _paid(account: MerchantAccount, ticket: Ticket, trouble: Trouble, now: datetime, wall: datetime) -> SandboxTrade:
    """The trade in our books, paid once, whoever presses how often."""
    trade = _opened(account, ticket, now)
    if trade.status == GatewayState.PAID.value:
        if trouble is Trouble.SECOND and not trade.second_transaction_id:
            _pay_again(trade, now)
            trade.notify_due_at = wall + FIRST_REPEAT
            trade.save()
        return trade
    if trouble is not Trouble.LATE and (trade.status == GatewayState.CLOSED.value or ticket.expires_at <= now):
        raise PayRefused.because(_("This payment code has ended. Ask for a new one."))
    wrong = ticket.amount - 1 if ticket.amount > 1 else ticket.amount + 1
    trade.amount = wrong if trouble is Trouble.WRONG_AMOUNT else ticket.amount
    trade.currency, trade.subject, trade.notify_url = ticket.currency, ticket.subject[:120], notify_url(account)
    trade.status, trade.paid_at = GatewayState.PAID.value, now
    repeat = DELAY if trouble is Trouble.DELAYED else FIRST_REPEAT
    trade.notify_due_at = None if trouble in {Trouble.DROPPED, Trouble.UNANSWERED} else wall + repeat
    trade.lost_answers = LOST_ANSWERS if trouble is Trouble.UNANSWERED else 0
    if trouble is Trouble.SECOND:
        _pay_again(trade, now)
    trade.save()
    return trade


def _pay_again(trade: SandboxTrade, now: datetime) -> None:
    """A second payment of the same code, in our books like the first."""
    trade.second_amount, trade.second_transaction_id, trade.second_paid_at = trade.amount, new_transaction_id(), now


def _opened(account: MerchantAccount, ticket: Ticket, now: datetime) -> SandboxTrade:
    if trade := _trade(account, ticket.number, now):
        return trade
    raise PayRefused.because(_("This is not a valid payment link. Ask the seller for a new one."))


def _trade(account: MerchantAccount, number: str, now: datetime) -> SandboxTrade | None:
    """The trade in our books, opened where there is none, and locked; None where the number is another account's."""
    SandboxTrade.objects.get_or_create(number=number, defaults=_blank(account, number, now))
    return SandboxTrade.objects.select_for_update().filter(number=number, account=account).first()


def _blank(account: MerchantAccount, number: str, now: datetime) -> dict[str, Any]:
    return {
        "account": account,
        "transaction_id": new_transaction_id(),
        "amount": 0,
        "currency": "",
        "subject": "",
        "notify_url": notify_url(account),
        "status": GatewayState.NOT_PAID.value,
        "created_at": now,
    }


def _query(account: MerchantAccount, asked: dict[str, Any], now: datetime) -> dict[str, Any]:
    number = number_in(asked, "number")
    trade = SandboxTrade.objects.filter(number=number, account=account).first()
    if trade is None:
        return {"number": number, "state": GatewayState.NOT_FOUND.value}
    is_lost = SandboxTrade.objects.filter(pk=trade.pk, lost_answers__gt=0).update(lost_answers=F("lost_answers") - 1)
    return {**told_of(trade), "lost": bool(is_lost)}


@transaction.atomic
def _close(account: MerchantAccount, asked: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A trade that nobody opened is closed too: its link can't be paid afterwards."""
    number = number_in(asked, "number")
    trade = _trade(account, number, now)
    if trade is None:
        raise PayRefused.because("This number belongs to another account.")
    if trade.status == GatewayState.NOT_PAID.value:
        trade.status = GatewayState.CLOSED.value
        trade.save(update_fields=["status"])
    return told_of(trade)


VERBS: Mapping[str, Callable[[MerchantAccount, dict[str, Any], datetime], dict[str, Any]]] = {
    "query": _query,
    "close": _close,
    "refund": pay_back,
    "query_refund": query_refund,
}


def _safe(path: str) -> str:
    """No open redirect, even where a merchant's key signed one: our own site only (F96)."""
    return path if path.startswith("/") and url_has_allowed_host_and_scheme(path, None) else ""
