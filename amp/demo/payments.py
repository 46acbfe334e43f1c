"""Buying in the demo's past: real orders, paid at the sandbox gateway, told to us by a notice that is verified."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from amp.foundation.models import User
from amp.foundation.sealed import unseal
from billing.models import Order, OrderChannel, PaymentAttempt, SandboxTrade
from billing.providers.sandbox_wire import dump, signed_headers
from billing.services import sandbox
from billing.services.attempts import start_attempt
from billing.services.notices import take_notice
from billing.services.ordering import cancel_order, open_order
from billing.services.sandbox import Trouble
from billing.services.sandbox_notices import told_of
from catalog.models import Plan

PAGE = "renewal page"


def order_devices(device_ids: Sequence[int], plan: Plan, *, staff: User | None, now: datetime) -> Order:
    """Open an order: on the public page of one device, or by `staff` for several."""
    return open_order(
        device_ids=device_ids,
        plan=plan,
        channel=OrderChannel.STAFF if staff else OrderChannel.PUBLIC,
        created_by=staff.email if staff else PAGE,
        once_key=None,
        now=now,
    )


def pay_order(order: Order, *, now: datetime, wall: datetime) -> None:
    """Pay at the sandbox gateway at `now`, and take its notice. Raises RuntimeError where the notice isn't accepted.

    The notice doesn't travel over HTTP, since nobody listens while the past is made; it is signed and verified as ever.
    """
    attempt = start_attempt(order=order, now=now, wall=wall)
    signed = attempt.code.rpartition("/sandbox/pay/")[2]
    sandbox.pay(signed=signed, trouble=Trouble.DROPPED, now=now, wall=wall)
    _deliver(attempt, now, wall)


def give_up(order: Order, *, actor: str, now: datetime) -> None:
    """Cancel an order that nobody paid."""
    cancel_order(order=order, actor=actor, now=now)


def _deliver(attempt: PaymentAttempt, now: datetime, wall: datetime) -> None:
    account = attempt.account
    body = dump(told_of(SandboxTrade.objects.get(number=attempt.number)))
    secret = unseal(account.sealed_secret, str(account.public_id))
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=wall)
    answer = take_notice(
        provider=account.provider, account_id=account.public_id, headers=headers, body=body, now=now, wall=wall
    )
    if answer.status != 200:
        raise RuntimeError(f"The notice of {attempt.number} was refused: {answer.body!r}")
