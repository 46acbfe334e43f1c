"""Orders: opened with a frozen copy of what was offered, paid by attempts, confirmed free, or cancelled (Q1–Q5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from amp.foundation.access import Action, require
from amp.foundation.bulk import insert_rows
from amp.foundation.models import Enterprise, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.configuration import order_minutes
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from billing.models import LineStatus, Order, OrderChannel, OrderLine
from billing.orders import MAX_LINES, OrderStatus, TransitionRefused, check_transition, new_order_number
from billing.services.accounts import seller_of
from billing.services.quoting import Quote, QuoteLine, quote
from billing.services.settlement import FULFIL, close_open_attempts
from catalog.models import Plan
from devices.models import Device

REUSE_MARGIN = timedelta(minutes=2)
"""An open order is shown again only while there is time left to pay it."""
LINE_COLUMNS = ("enterprise", "order", "device", "amount", "status", "previewed_ends_at", "reason")


class OrderRefused(Refused):
    """The order can't be opened, paid, confirmed or cancelled like this."""


class OnceKeyReused(Refused):
    """The same once key came with another order than before (R7)."""


class DevicesNotEligible(Exception):
    """Some devices can't be in the order, and nothing was made (Q1).

    `quote` says which, and what is left without them.
    """

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"{len(quote.refused)} of {len(quote.lines)} devices can't be renewed with this plan.")
        self.quote = quote

    @property
    def refusals(self) -> list[QuoteLine]:
        """The bad devices, each with its reason."""
        return self.quote.refused


def open_order(
    *,
    device_ids: Sequence[int],
    plan: Plan,
    channel: OrderChannel,
    created_by: str,
    once_key: str | None,
    now: datetime,
    continue_without_refused: bool = False,
    expected: int | None = None,
) -> Order:
    """Open an order for the devices, or return the one that this click has made before (F32, F33).

    All or nothing: raises DevicesNotEligible unless every device is fine, or at least one is and
    `continue_without_refused`; and where `expected`, the number of lines that somebody agreed to, is another one by now
    (Q5). Raises OrderRefused (size, free plan on the public page) and OnceKeyReused. Devices are looked up in the
    caller's scope.
    """
    ids = list(dict.fromkeys(device_ids))
    key = _scoped_key(once_key, channel, created_by)
    if known := _made_before(key, ids, plan):
        return known
    try:
        with transaction.atomic():
            return _opened(ids, plan, channel, created_by, key, now, continue_without_refused, expected)
    except IntegrityError:  # the other click of a double click was first
        if known := _made_before(key, ids, plan):
            return known
        raise


@transaction.atomic
def confirm_free_order(*, order: Order, user: User, now: datetime) -> Order:
    """Renew by a person's word where there is nothing to pay (Q3, Q5). Raises NotAllowed, OrderRefused.

    The word stands in the place of a payment, so it is the seller's: a buyer below would renew itself for nothing.
    """
    require(user, Action.CONFIRM_FREE_RENEWAL, seller_of(order))
    order = _locked(order)
    if order.total or order.channel != OrderChannel.STAFF.value:
        raise OrderRefused.because(_("Only an order without a price can be confirmed without payment."))
    if order.status in {OrderStatus.PAID.value, OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value}:
        return order
    if order.status != OrderStatus.PENDING.value or order.expires_at <= now:
        raise OrderRefused.because(_("This order has ended. Make a new one."))
    _move(order, OrderStatus.PAID, "order.paid", actor=user.email, why="free, confirmed by staff", now=now)
    order.paid_at = order.due_at = now
    order.save(update_fields=["status", "paid_at", "due_at"])
    OrderLine.objects.filter(order=order).update(status=LineStatus.QUEUED.value)
    wake(FULFIL)
    return order


@transaction.atomic
def cancel_order(*, order: Order, actor: str, now: datetime) -> Order:
    """Give up an unpaid order; its codes are closed at the gateway by the next poll. Raises OrderRefused.

    Somebody who pays all the same is served: the payment is honoured and flagged (F27).
    """
    order = _locked(order)
    if order.status == OrderStatus.CANCELLED.value:
        return order
    try:
        _move(order, OrderStatus.CANCELLED, "order.cancelled", actor=actor, why="", now=now)
    except TransitionRefused:
        raise OrderRefused.because(_("Only an order that waits for payment can be cancelled.")) from None
    order.closed_at, order.due_at = now, None
    order.save(update_fields=["status", "closed_at", "due_at"])
    close_open_attempts(order, now=now)
    return order


def _opened(
    ids: list[int],
    plan: Plan,
    channel: OrderChannel,
    created_by: str,
    key: str | None,
    now: datetime,
    continue_without_refused: bool,
    expected: int | None,
) -> Order:
    if not 1 <= len(ids) <= MAX_LINES:
        raise OrderRefused.because(_("Choose 1 to %(most)s devices.") % {"most": f"{MAX_LINES:,}"}, "devices")
    if channel is not OrderChannel.STAFF and plan.amount == 0:  # Q5: a person confirms what costs nothing
        raise OrderRefused.because(_("This plan is not sold here. Choose another plan."), "plan")
    if channel is OrderChannel.PUBLIC and (open_one := _open_public_order(ids, plan, now)):
        return open_one
    offered = quote(device_ids=ids, plan=plan, now=now)
    if offered.refused and not (continue_without_refused and offered.accepted):
        raise DevicesNotEligible(offered)
    if expected not in {None, len(offered.accepted)}:
        raise DevicesNotEligible(offered)
    return _stored(offered, channel, created_by, key, now)


def _open_public_order(ids: list[int], plan: Plan, now: datetime) -> Order | None:
    """The open order that another tab has made for the same device and plan (F32); tabs queue at the device's lock."""
    list(Device.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    lines = OrderLine.objects.filter(
        device_id__in=ids,
        order__plan=plan,
        order__channel=OrderChannel.PUBLIC.value,
        order__status=OrderStatus.PENDING.value,
        order__expires_at__gt=now + REUSE_MARGIN,
        order__line_count=len(ids),
    ).select_related("order")
    line = lines.order_by("-order_id").first() if len(ids) == 1 else None
    return line.order if line else None


def _stored(offered: Quote, channel: OrderChannel, created_by: str, key: str | None, now: datetime) -> Order:
    """The order with its snapshot of merchant, plan, price and period (E3, F37), and its lines."""
    plan, lines = offered.plan, offered.accepted
    expires_at = now + timedelta(minutes=order_minutes())
    order: Order = Order.objects.create(
        enterprise_id=common_enterprise({line.enterprise_id for line in lines if line.enterprise_id}),
        number=new_order_number(),
        channel=channel.value,
        merchant=plan.merchant,
        merchant_name=plan.merchant.name,
        plan=plan,
        plan_name=plan.name,
        level_id=plan.level_id,
        months=plan.months,
        unit_amount=plan.amount,
        total=offered.total,
        currency=plan.currency,
        line_count=len(lines),
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
        due_at=expires_at,
        once_key=key,
        left_out=offered.reasons or None,
    )
    rows = [
        (line.enterprise_id, order.pk, line.device_id, line.amount, LineStatus.WAITING.value, line.ends_at, "")
        for line in lines
    ]
    insert_rows(OrderLine, LINE_COLUMNS, rows)
    told = {
        "number": order.number,
        "devices": order.line_count,
        "plan": order.plan_name,
        "merchant": order.merchant_name,
        "total": order.total,
        "currency": order.currency,
        **({"left_out": order.left_out} if order.left_out else {}),
    }
    record_about(order, "order.created", actor=created_by, now=now, after=told)
    return order


def common_enterprise(ids: set[int]) -> int:
    """The lowest enterprise that holds all of these: who may see each of them may see what they are ordered by.

    Raises OrderRefused where no enterprise holds them all.
    """
    with system_scope():
        lines = [[*each.ancestor_ids, each.pk] for each in Enterprise.objects.filter(pk__in=ids)]
    shared: list[int] = [level[0] for level in zip(*lines, strict=False) if len(set(level)) == 1]
    if not shared:
        message = _("These devices belong to unrelated enterprises. Order them separately.")
        raise OrderRefused.because(message, "devices")
    return shared[-1]


def _scoped_key(once_key: str | None, channel: OrderChannel, created_by: str) -> str | None:
    """Two people with the same key never meet (F34)."""
    if not once_key:
        return None
    return hashlib.sha256("\n".join([channel.value, created_by, once_key]).encode()).hexdigest()


def _made_before(key: str | None, ids: list[int], plan: Plan) -> Order | None:
    if key is None:
        return None
    with system_scope():  # the key is scoped by who asked
        order = Order.objects.filter(once_key=key).first()
        if order is None:
            return None
        ordered = set(OrderLine.objects.filter(order=order).values_list("device_id", flat=True))
    if order.plan_id != plan.pk or not ordered <= set(ids):
        raise OnceKeyReused.because(_("This form was used for another order already. Reload the page and try again."))
    return order


def _locked(order: Order) -> Order:
    locked: Order = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
    return locked


def _move(order: Order, to: OrderStatus, kind: str, *, actor: str, why: str, now: datetime) -> None:
    """Change the state in hand and record it; the caller saves."""
    before = order.status
    check_transition(OrderStatus(before), to)
    order.status = to.value
    record_about(order, kind, actor=actor, now=now, why=why, before={"status": before}, after={"status": order.status})
