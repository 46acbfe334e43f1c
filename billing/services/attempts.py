"""Payment attempts: a number that is stored before the gateway hears of it, then a code to scan (F45)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from amp.foundation.crashing import crash_point
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import seal, unseal
from billing.models import MerchantAccount, Order, OrderChannel, PaymentAttempt, Provider
from billing.orders import OPEN_ATTEMPTS, AttemptStatus, OrderStatus, PayWay, new_attempt_number, next_query
from billing.providers.protocol import Code, GatewayRefused, GatewayTimeout, PaymentRequest
from billing.providers.registry import BY_HAND
from billing.services.accounts import AccountRefused, account_that_sells, gateway_of_attempt, notify_url, ways_of
from billing.services.ordering import OrderRefused
from billing.wallets import stand_side_by_side

UNKNOWN_RETRY = timedelta(seconds=10)
TRANSFER_PATIENCE = timedelta(days=14)
OPEN = [status.value for status in OPEN_ATTEMPTS]


class Payer(NamedTuple):
    """Who pays, as far as a gateway wants to know it."""

    way: PayWay
    id: str
    ip: str


def start_attempt(
    *,
    order: Order,
    now: datetime,
    wall: datetime,
    provider_account: MerchantAccount | None = None,
    return_path: str = "",
    new_code: bool = False,
    way: PayWay = PayWay.SCREEN,
    payer_id: str = "",
    payer_ip: str = "",
) -> PaymentAttempt:
    """The order's open attempt with its code, or a new one; `new_code` makes a new one whatever is open.

    `way` says where the payer is. An open attempt is only found again for the same way, account and payer, and while
    its code lives; a new one ends it. `payer_id` is the payer's openid, which WeChat needs IN_APP; `payer_ip` the
    address of the payer's browser, which WeChat needs for BROWSER. What to do with `code` says `code_form`.

    Two transactions with the gateway's call between them, so never inside another one. Look at the answer's status:
    PENDING has a `code`; UNKNOWN has none yet (the poll finds out, ask again in some seconds); FAILED has a `problem`.
    `return_path` is a path of ours for the payer's browser, at most 200 characters. It may hold a token: it is stored
    sealed, and the gateway is only told an address that leads to it.
    Raises OrderRefused (ended, paid, free), AccountRefused.
    """
    payer = Payer(way, payer_id[:128], payer_ip[:45])
    with system_scope():  # the seller's account is never in a buyer's scope
        attempt = _committed(order, provider_account, _checked_path(return_path), payer, new_code, now)
        if attempt.code:
            return attempt
        crash_point("attempt.committed")
        return ask_for_code(attempt=attempt, now=now, wall=wall)


def ask_for_code(*, attempt: PaymentAttempt, now: datetime, wall: datetime) -> PaymentAttempt:
    """Call the gateway with what is stored, byte for byte the same each time, and store what came of it."""
    try:
        code = gateway_of_attempt(attempt).create(_request(attempt), wall=wall)
        crash_point("attempt.answered")
    except GatewayTimeout as lost:
        return _stored(attempt, AttemptStatus.UNKNOWN, problem=str(lost), due_at=now + UNKNOWN_RETRY, now=now)
    except GatewayRefused as refused:
        return _stored(attempt, AttemptStatus.FAILED, problem=str(refused), due_at=None, now=now)
    due_at = None
    if attempt.provider not in BY_HAND:
        due_at = next_query(created_at=attempt.created_at, expires_at=attempt.expires_at, now=now)
    return _stored(attempt, AttemptStatus.PENDING, code=code, due_at=due_at, now=now)


def return_path_of(*, number: str) -> str:
    """Where the payer goes after paying; "" where nobody said or the number is unknown. Runs in the system's scope."""
    sealed = PaymentAttempt.objects.filter(number=number).values_list("sealed_return_path", flat=True).first()
    return unseal(sealed, number).decode() if sealed else ""


def _committed(
    order: Order, account: MerchantAccount | None, return_path: str, payer: Payer, new_code: bool, now: datetime
) -> PaymentAttempt:
    with transaction.atomic(durable=True):
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != OrderStatus.PENDING.value or locked.expires_at <= now:
            raise OrderRefused.because(_("This order no longer waits for payment. Reload the page."))
        if locked.total == 0:
            raise OrderRefused.because(_("There is nothing to pay. A person confirms this order."))
        newest = None if new_code else _open_one(locked, account, payer, now)
        if newest:
            return newest
        by_transfer = locked.channel != OrderChannel.PUBLIC.value
        seller = account or account_that_sells(locked.merchant, now=now, way=payer.way, by_transfer=by_transfer)
        return _created(locked, seller, return_path, payer, now)


def _open_one(order: Order, account: MerchantAccount | None, payer: Payer, now: datetime) -> PaymentAttempt | None:
    """The newest attempt, if it is this payer's and its code may still be shown; the other wallet's beside it is
    nobody's business where the account is named."""
    rows = PaymentAttempt.objects.filter(order=order, status__in=OPEN, expires_at__gt=now)
    beside = stand_side_by_side(account.provider) if account else ()
    newest = rows.exclude(provider__in=beside).order_by("-id").first()
    if newest is None or (newest.way, newest.payer_id) != (payer.way.value, payer.id):
        return None
    if account is not None and newest.account_id != account.pk:
        return None
    is_dead = newest.code_expires_at is not None and newest.code_expires_at <= now
    return None if is_dead else newest


def _created(order: Order, account: MerchantAccount, return_path: str, payer: Payer, now: datetime) -> PaymentAttempt:
    if account.merchant_id != order.merchant_id or not account.is_active:
        raise AccountRefused.because(_("This payment account does not belong to the order's merchant."))
    if payer.way not in ways_of(account):
        raise AccountRefused.because(_("The seller's payment account does not offer this way of paying."))
    if account.provider == Provider.OFFLINE.value:
        _wait_for_transfer(order, now)
    # An older code stays payable until the poll has closed it, which is now; the other wallet's stays beside it.
    older = PaymentAttempt.objects.filter(order=order, status__in=OPEN)
    older.exclude(provider__in=stand_side_by_side(account.provider)).update(due_at=now)
    attempt: PaymentAttempt = PaymentAttempt.objects.create(
        enterprise_id=order.enterprise_id,
        order=order,
        account=account,
        provider=account.provider,
        way=payer.way.value,
        payer_id=payer.id,
        payer_ip=payer.ip,
        number=new_attempt_number(),
        amount=order.total,
        currency=order.currency,
        created_at=now,
        expires_at=order.expires_at,
        due_at=now + UNKNOWN_RETRY,
    )
    if return_path:
        attempt.sealed_return_path = seal(return_path.encode(), attempt.number)
        attempt.save(update_fields=["sealed_return_path"])
    return attempt


def _wait_for_transfer(order: Order, now: datetime) -> None:
    """A bank needs days: the order waits so long for its money (Q2)."""
    order.expires_at = order.due_at = max(order.expires_at, now + TRANSFER_PATIENCE)
    order.save(update_fields=["expires_at", "due_at"])


def _stored(
    attempt: PaymentAttempt,
    status: AttemptStatus,
    *,
    due_at: datetime | None,
    now: datetime,
    code: Code | None = None,
    problem: str = "",
) -> PaymentAttempt:
    """Never overwrites what a notice may have brought meanwhile, nor a code that a payer may have in hand."""
    with transaction.atomic():
        stored: PaymentAttempt = PaymentAttempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
        if stored.status in OPEN and not stored.code:
            stored.status, stored.problem, stored.due_at = status.value, problem[:300], due_at
            if code:
                stored.code, stored.code_form = code.text, code.form.value
                stored.code_expires_at = min(stored.expires_at, now + code.lives if code.lives else stored.expires_at)
            stored.save(update_fields=["status", "code", "code_form", "code_expires_at", "problem", "due_at"])
            crash_point("attempt.stored")
    return stored


def _request(attempt: PaymentAttempt) -> PaymentRequest:
    return PaymentRequest(
        number=attempt.number,
        amount=attempt.amount,
        currency=attempt.currency,
        subject=f"{attempt.order.plan_name} {attempt.order.number}",
        notify_url=notify_url(attempt.account),
        return_path=f"/pay/return/{attempt.number}" if attempt.sealed_return_path else "",
        expires_at=attempt.expires_at,
        asked_at=attempt.created_at,
        way=PayWay(attempt.way),
        payer_id=attempt.payer_id,
        payer_ip=attempt.payer_ip,
    )


def _checked_path(path: str) -> str:
    if path and not (path.startswith("/") and len(path) <= 200 and url_has_allowed_host_and_scheme(path, None)):
        raise OrderRefused.because(_("The return address is not a path of this site."))
    return path
