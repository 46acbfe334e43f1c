"""The sandbox gateway's notices: signed, sent over HTTP, repeated until the merchant says success."""

from __future__ import annotations

import logging
import secrets
from datetime import datetime, timedelta
from typing import Any

import requests
from django.db import transaction
from django.db.models import F

from amp.foundation.sealed import unseal
from billing.models import MerchantAccount, SandboxTrade
from billing.orders import GatewayState
from billing.providers.sandbox_wire import Ticket, dump, signed_headers
from billing.services.accounts import notify_url

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3
FIRST_REPEAT = timedelta(seconds=15)
DELAY = timedelta(minutes=1)
"""How long the pay page's "delayed" holds a notice back."""
LEASE = timedelta(seconds=30)
REPEATS = tuple(timedelta(seconds=seconds) for seconds in (15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600))
SUCCESS = b"success"


def send_due_notices(*, wall: datetime, limit: int = 5) -> int:
    """Send notices whose next try has come, in real time; number of notices tried."""
    taken = _claim(wall, limit)
    for trade in taken:
        deliver(trade, wall=wall)
    return len(taken)


def deliver(trade: SandboxTrade, *, wall: datetime) -> bool:
    """One try of all that there is to tell; True where the merchant answered success to all of it.

    Never raises: what isn't answered is due again, and what was answered may come twice (F28).
    """
    account = trade.account
    told = [told_of(trade), *([second_of(trade)] if trade.second_transaction_id else [])]
    answered = all(_post(account, trade.notify_url, each, _secret(account), wall) for each in told)
    tried = trade.notify_attempts + 1
    again = None if answered or tried > len(REPEATS) else wall + REPEATS[tried - 1]
    SandboxTrade.objects.filter(pk=trade.pk).update(notify_attempts=F("notify_attempts") + 1, notify_due_at=again)
    trade.notify_attempts = tried
    return answered


def deliver_forged(account: MerchantAccount, ticket: Ticket, *, now: datetime, wall: datetime) -> bool:
    """What a cheat would send: a notice of a payment that nobody made, signed with a guessed key (F28)."""
    told = {
        "number": ticket.number,
        "state": GatewayState.PAID.value,
        "merchant": account.merchant.merchant_id,
        "amount": ticket.amount,
        "currency": ticket.currency,
        "transaction": new_transaction_id(),
        "paid_at": now.isoformat(),
    }
    return _post(account, notify_url(account), told, secrets.token_bytes(32), wall)


def told_of(trade: SandboxTrade) -> dict[str, Any]:
    """What the gateway says of a trade, in answers and notices alike."""
    if trade.status != GatewayState.PAID.value or trade.paid_at is None:
        return {"number": trade.number, "state": trade.status}
    return {
        "number": trade.number,
        "state": trade.status,
        "merchant": trade.account.merchant.merchant_id,
        "amount": trade.amount,
        "currency": trade.currency,
        "transaction": trade.transaction_id,
        "paid_at": trade.paid_at.isoformat(),
    }


def second_of(trade: SandboxTrade) -> dict[str, Any]:
    """Somebody paid the same code again, from another phone: a transaction of its own (F31)."""
    at = trade.second_paid_at
    told = {"transaction": trade.second_transaction_id, "amount": trade.second_amount}
    return {**told_of(trade), **told, "paid_at": at.isoformat() if at else ""}


def new_transaction_id() -> str:
    """A name that no other transaction has."""
    return f"TEST{secrets.token_hex(14).upper()}"


def _claim(wall: datetime, limit: int) -> list[SandboxTrade]:
    with transaction.atomic():
        due = SandboxTrade.objects.filter(notify_due_at__lte=wall).order_by("notify_due_at", "pk")
        taken = list(due.select_for_update(skip_locked=True)[:limit])
        SandboxTrade.objects.filter(pk__in=[trade.pk for trade in taken]).update(notify_due_at=wall + LEASE)
        return taken


def _post(account: MerchantAccount, url: str, told: dict[str, Any], secret: bytes, wall: datetime) -> bool:
    body = dump(told)
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=wall)
    try:
        answer = requests.post(
            url,
            data=body,
            headers=headers | {"Content-Type": "application/json"},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as lost:
        log.warning("The notice of %s was not answered (%s).", told["number"], type(lost).__name__)
        return False
    return answer.status_code == requests.codes.ok and answer.content == SUCCESS


def _secret(account: MerchantAccount) -> bytes:
    return unseal(account.sealed_secret, str(account.public_id))
