"""Payment attempts: a number that is stored before the gateway hears of it, then a code to scan (F45)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from amp.foundation.scoping import system_scope
from amp.foundation.sealed import seal, unseal
from billing.models import MerchantAccount, Order, OrderChannel, PaymentAttempt, Provider
from billing.orders import OPEN_ATTEMPTS, AttemptStatus, OrderStatus, new_attempt_number, next_query
from billing.providers.protocol import GatewayRefused, GatewayTimeout, PaymentRequest
from billing.services.accounts import AccountRefused, account_that_sells, gateway_of_attempt, notify_url
from billing.services.ordering import OrderRefused

UNKNOWN_RETRY = timedelta(seconds=10)
TRANSFER_PATIENCE = timedelta(days=14)
OPEN = [status.value for status in OPEN_ATTEMPTS]


def start_attempt(
    *,
    order: Order,
    now: datetime,
    wall: datetime,
    provider_account: MerchantAccount | None = None,
    return_path: str = "",
    new_code: bool = False,
) -> PaymentAttempt:
    """The order's open attempt with its code, or a new one; `new_code` makes a new one whatever is open.

    Two transactions with the gateway's call between them, so never inside another one. Look at the answer's status:
    PENDING has a `code`; UNKNOWN has none yet (the poll finds out, ask again in some seconds); FAILED has a `problem`.
    `return_path` is a path of ours for the payer's browser, at most 200 characters. It may hold a token: it is stored
    sealed, and the gateway is only told an address that leads to it.
    Raises OrderRefused (ended, paid, free), AccountRefused.
    """
    with system_scope():  # the seller's account is never in a buyer's scope
        attempt = _committed(order, provider_account, _checked_path(return_path), new_code, now)
        if attempt.code:
            return attempt
        return ask_for_code(attempt=attempt, now=now, wall=wall)


def ask_for_code(*, attempt: PaymentAttempt, now: datetime, wall: datetime) -> PaymentAttempt:
    """Call the gateway with what is stored, byte for byte the same each time, and store what came of it."""
    try:
        code = gateway_of_attempt(attempt).create(_request(attempt), wall=wall)
    except GatewayTimeout as lost:
        return _stored(attempt, AttemptStatus.UNKNOWN, problem=str(lost), due_at=now + UNKNOWN_RETRY)
    except GatewayRefused as refused:
        return _stored(attempt, AttemptStatus.FAILED, problem=str(refused), due_at=None)
    due_at = next_query(created_at=attempt.created_at, expires_at=attempt.expires_at, now=now)
    return _stored(attempt, AttemptStatus.PENDING, code=code, due_at=due_at)


def return_path_of(*, number: str) -> str:
    """Where the payer goes after paying; "" where nobody said or the number is unknown. Runs in the system's scope."""
    sealed = PaymentAttempt.objects.filter(number=number).values_list("sealed_return_path", flat=True).first()
    return unseal(sealed, number).decode() if sealed else ""


def _committed(
    order: Order, account: MerchantAccount | None, return_path: str, new_code: bool, now: datetime
) -> PaymentAttempt:
    with transaction.atomic(durable=True):
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != OrderStatus.PENDING.value or locked.expires_at <= now:
            raise OrderRefused.because(_("This order no longer waits for payment. Reload the page."))
        if locked.total == 0:
            raise OrderRefused.because(_("There is nothing to pay. A person confirms this order."))
        open_ones = PaymentAttempt.objects.filter(order=locked, status__in=OPEN, expires_at__gt=now)
        newest = None if new_code else open_ones.order_by("-id").first()
        if newest:
            return newest
        by_transfer = locked.channel != OrderChannel.PUBLIC.value
        sells = account or account_that_sells(locked.merchant, now=now, by_transfer=by_transfer)
        return _created(locked, sells, return_path, now)


def _created(order: Order, account: MerchantAccount, return_path: str, now: datetime) -> PaymentAttempt:
    if account.merchant_id != order.merchant_id or not account.is_active:
        raise AccountRefused.because(_("This payment account does not belong to the order's merchant."))
    if account.provider == Provider.OFFLINE.value:
        _wait_for_transfer(order, now)
    # An older code stays payable until the poll has closed it, which is now.
    PaymentAttempt.objects.filter(order=order, status__in=OPEN).update(due_at=now)
    attempt: PaymentAttempt = PaymentAttempt.objects.create(
        enterprise_id=order.enterprise_id,
        order=order,
        account=account,
        provider=account.provider,
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
    attempt: PaymentAttempt, status: AttemptStatus, *, due_at: datetime | None, code: str = "", problem: str = ""
) -> PaymentAttempt:
    """Never overwrites what a notice may have brought meanwhile, nor a code that a payer may have in hand."""
    with transaction.atomic():
        stored: PaymentAttempt = PaymentAttempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
        if stored.status in OPEN and not stored.code:
            stored.status, stored.code, stored.problem, stored.due_at = status.value, code, problem[:300], due_at
            stored.save(update_fields=["status", "code", "problem", "due_at"])
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
    )


def _checked_path(path: str) -> str:
    if path and not (path.startswith("/") and len(path) <= 200 and url_has_allowed_host_and_scheme(path, None)):
        raise OrderRefused.because(_("The return address is not a path of this site."))
    return path
