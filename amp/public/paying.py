"""What the pay page of an order says, whoever holds its link: who is paid, for what, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.models import Order, OrderStatus, PaymentAttempt
from billing.orders import AttemptStatus


@dataclass(frozen=True, slots=True)
class PayPage:
    """The page's words; `version` changes whenever they do. `is_moving` while somebody should look again by itself."""

    headline: str
    tone: str
    badge: str
    text: str
    is_moving: bool
    is_checked_by_staff: bool
    version: str


def pay_page(order: Order, attempts: Sequence[PaymentAttempt]) -> PayPage:
    """The page of an order whose payments are `attempts`, newest first."""
    is_checked = order.status == OrderStatus.PENDING.value and any(
        each.status == AttemptStatus.PAID.value for each in attempts
    )
    headline, tone, badge, text = _words(order, is_checked=is_checked)
    waits = order.status in {OrderStatus.PENDING.value, OrderStatus.PAID.value}
    return PayPage(
        headline=headline,
        tone=tone,
        badge=badge,
        text=text,
        is_moving=waits and not is_checked,
        is_checked_by_staff=is_checked,
        version=".".join([order.status, *(each.status for each in attempts[:2])]),
    )


def _words(order: Order, *, is_checked: bool) -> tuple[str, str, str, str]:
    if is_checked:
        told = _("A payment arrived that differs from the order. The seller corrects it or pays it back.")
        return _("The seller checks your payment"), "amber", _("Being checked"), told
    match order.status:
        case OrderStatus.PAID.value:
            return _("Payment received"), "blue", _("Renewing"), _("You may close this page: the renewal goes on.")
        case OrderStatus.FULFILLED.value:
            return _("Paid and renewed"), "green", _("Done"), _("You may close this page.")
        case OrderStatus.PARTIALLY_FULFILLED.value:
            told = _("Not every device could be renewed. The seller has been told, and pays back or puts it right.")
            return _("Payment received"), "amber", _("Needs the seller"), told
        case OrderStatus.REFUNDED.value:
            return _("This payment was refunded"), "grey", _("Refunded"), ""
    return _("Renew the service"), "amber", _("Not paid yet"), ""
